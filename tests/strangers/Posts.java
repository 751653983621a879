// Java's HttpClient as it is: `java Posts.java` reads a request a line, four fields
// between tabs (address, type, Authorization, body), and prints the answer on a line.
// Its default is HTTP/2, so it offers `Upgrade: h2c` with the first request of all.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Posts {
    public static void main(String[] none) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] given = line.split("\t", -1);
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(given[0]));
            if (!given[1].isEmpty()) request.header("Content-Type", given[1]);
            if (!given[2].isEmpty()) request.header("Authorization", given[2]);
            request.POST(HttpRequest.BodyPublishers.ofString(given[3]));
            HttpResponse<String> answer =
                HttpClient.newHttpClient()
                    .send(request.build(), HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + "\t" + answer.body());
        }
    }
}
