// Who asks: bearer tokens, key and email, the administrator's socket; and whose account a path names.
// Inside api only; its one thread.
#pragma once

#include "api/call.h"

/* The credentials of a request as its headers give them; NULL: absent. */
struct api_credentials {
	const char *authorization;
	const char *email;
	const char *key;
};

/* Finds the token. Fails the call unless it is good or the caller is the administrator. */
void api_auth_check(struct api_call *c, const struct api_credentials *cred);

/* Fails the call when the token may not change anything. */
void api_auth_check_write(struct api_call *c);

/* Reads the account that a path names (32 hex characters or the number) and checks that it is the token's. */
void api_auth_account(struct api_call *c, struct bytes segment);

#define API_TOKEN_PREFIX "onr_"
#define API_TOKEN_TEXT_MAX 49 /* the prefix, 43 characters, and what text_base64url wants behind them */

/* A new token's text, out of 256 random bits. Wipe it. */
void api_token_make(char text[static API_TOKEN_TEXT_MAX]);
void api_token_hash(struct bytes text, uint8_t ret[static 32]);
