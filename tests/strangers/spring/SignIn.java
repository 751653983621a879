// What Spring Security's oauth2Login does, from the issuer alone: it says where to send
// its user, reads the address that the user came back to, and says which user that is.

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Scanner;
import org.springframework.security.oauth2.client.authentication.OAuth2LoginAuthenticationToken;
import org.springframework.security.oauth2.client.endpoint.RestClientAuthorizationCodeTokenResponseClient;
import org.springframework.security.oauth2.client.oidc.authentication.OidcAuthorizationCodeAuthenticationProvider;
import org.springframework.security.oauth2.client.oidc.userinfo.OidcUserService;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrations;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestCustomizers;
import org.springframework.security.oauth2.core.endpoint.OAuth2AuthorizationExchange;
import org.springframework.security.oauth2.core.endpoint.OAuth2AuthorizationRequest;
import org.springframework.security.oauth2.core.endpoint.OAuth2AuthorizationResponse;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;

public class SignIn {
    static final String NONCE = "a-nonce";

    public static void main(String[] given) throws Exception {
        ClientRegistration client =
            ClientRegistrations.fromIssuerLocation(given[0])
                .clientId(given[1])
                .clientSecret(given[2])
                .redirectUri(given[3])
                .userNameAttributeName("preferred_username")
                .scope("openid", "profile")
                .build();
        OAuth2AuthorizationRequest request = request(client);
        System.out.println(request.getAuthorizationRequestUri());
        String query = new Scanner(System.in).nextLine().split("\\?", 2)[1];
        String code = null;
        String state = null;
        for (String pair : query.split("&")) {
            String[] parts = pair.split("=", 2);
            if (parts[0].equals("code")) code = parts[1];
            if (parts[0].equals("state")) state = parts[1];
        }
        OAuth2AuthorizationResponse answer =
            OAuth2AuthorizationResponse.success(code).redirectUri(given[3]).state(state).build();
        OAuth2LoginAuthenticationToken signedIn =
            (OAuth2LoginAuthenticationToken)
                new OidcAuthorizationCodeAuthenticationProvider(
                        new RestClientAuthorizationCodeTokenResponseClient(), new OidcUserService())
                    .authenticate(
                        new OAuth2LoginAuthenticationToken(
                            client, new OAuth2AuthorizationExchange(request, answer)));
        OidcUser user = (OidcUser) signedIn.getPrincipal();
        boolean refreshes = signedIn.getRefreshToken() != null;
        System.out.println("ok " + user.getName() + " " + (user.getUserInfo() != null) + " " + refreshes);
    }

    // As DefaultOAuth2AuthorizationRequestResolver, which wants a servlet request.
    static OAuth2AuthorizationRequest request(ClientRegistration client) throws Exception {
        byte[] hash =
            MessageDigest.getInstance("SHA-256").digest(NONCE.getBytes(StandardCharsets.US_ASCII));
        String hashed = Base64.getUrlEncoder().withoutPadding().encodeToString(hash);
        OAuth2AuthorizationRequest.Builder request =
            OAuth2AuthorizationRequest.authorizationCode()
                .authorizationUri(client.getProviderDetails().getAuthorizationUri())
                .clientId(client.getClientId())
                .redirectUri(client.getRedirectUri())
                .scopes(client.getScopes())
                .state("a-state")
                .attributes(all -> all.put("registration_id", client.getRegistrationId()))
                .attributes(all -> all.put("nonce", NONCE))
                .additionalParameters(all -> all.put("nonce", hashed));
        OAuth2AuthorizationRequestCustomizers.withPkce().accept(request);
        return request.build();
    }
}
