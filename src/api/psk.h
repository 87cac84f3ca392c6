// Pre-shared keys: sealed to the gateway as soon as they are here; the api process cannot open one.
// Inside api only; its one thread. doc/api.md, "Pre-shared keys".
#pragma once

#include "api/edit.h"
#include "api/tunnel_json.h"

/* Seals the key and queues its record; the former one is kept beside it. Sets t->psk_set_us: the caller
 * queues the tunnel itself. Warns of a short key. */
void api_psk_put(struct api_edit *e, struct model_tunnel *t, const struct secret *psk);

#define API_PSK_TEXT_MAX 45 /* 43 characters, and what text_base64url wants behind them */
/* A key for psk_generate: 32 random bytes in base64url, of those that begin with a letter. Routers read more into other beginnings:
 * strongSwan and OpenIKED take what follows 0x for hexadecimal digits, strongSwan what follows 0s for base64, command lines
 * a dash for an option. The caller wipes it. */
void api_psk_make(char text[static API_PSK_TEXT_MAX]);
