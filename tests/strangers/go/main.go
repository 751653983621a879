// A program in Go that knows an issuer, and nothing else of the server.
//
// `main verify ISSUER AUDIENCE` is an API: it reads access tokens, one a line, and says
// of each whether it lets it in. `main sign-in ISSUER CLIENT SECRET REDIRECT` is a site:
// it says where to send its user, reads the address that the user came back to, and says
// which user that is.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	if os.Args[1] == "verify" {
		verify(ctx, provider.Verifier(&oidc.Config{ClientID: os.Args[3]}), lines)
	} else if err := signIn(ctx, provider, os.Args[3:], lines); err != nil {
		fmt.Println("refused", err)
	}
}

func verify(ctx context.Context, verifier *oidc.IDTokenVerifier, lines *bufio.Scanner) {
	for lines.Scan() {
		token, err := verifier.Verify(ctx, lines.Text())
		if err != nil {
			fmt.Println("refused", err)
			continue
		}
		fmt.Println("ok", token.Subject)
	}
}

func signIn(
	ctx context.Context, provider *oidc.Provider, client []string, lines *bufio.Scanner,
) error {
	config := oauth2.Config{
		ClientID:     client[0],
		ClientSecret: client[1],
		RedirectURL:  client[2],
		Endpoint:     provider.Endpoint(),
		Scopes:       []string{oidc.ScopeOpenID, "profile"},
	}
	verifier := oauth2.GenerateVerifier()
	fmt.Println(config.AuthCodeURL(
		"a-state", oidc.Nonce("a-nonce"), oauth2.S256ChallengeOption(verifier),
	))
	lines.Scan()
	back, err := url.Parse(lines.Text())
	if err != nil || back.Query().Get("state") != "a-state" {
		return errors.New("not the state that was sent")
	}
	tokens, err := config.Exchange(
		ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier),
	)
	if err != nil {
		return err
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: client[0]}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	if idToken.Nonce != "a-nonce" {
		return errors.New("not the nonce that was sent")
	}
	if err := idToken.VerifyAccessToken(tokens.AccessToken); err != nil {
		return err
	}
	// Once the access token is over, the library refreshes by itself.
	tokens.Expiry = tokens.Expiry.AddDate(-1, 0, 0)
	user, err := provider.UserInfo(ctx, config.TokenSource(ctx, tokens))
	if err != nil {
		return err
	}
	var claims struct {
		Name string `json:"preferred_username"`
	}
	if err := user.Claims(&claims); err != nil {
		return err
	}
	fmt.Println("ok", claims.Name, user.Subject == idToken.Subject)
	return nil
}
