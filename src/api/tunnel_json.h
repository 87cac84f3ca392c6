// A tunnel as JSON, both ways: what a body changes in it, and how answers show it.
// Inside api only; its one thread. doc/api.md.
#pragma once

#include "api/edit.h"
#include "api/field.h"
#include "base/secret.h"
#include "model/psk.h"

/* A pre-shared key out of a body. */
struct api_given_psk {
	bool given;
	struct secret psk; /* wipe with secret_fini */
};

/* Merges the fields that stand in the object into the tunnel; fails the call. Does not judge values
 * beyond what their types can hold: see api_tunnel_check. */
void api_tunnel_read(const struct api_object *o, struct model_tunnel *t, struct api_given_psk *psk);

/* All rules: the tunnel's own, its endpoint, its neighbours in the view. Fails the call; pointer is put
 * before the field ("" or "/ipsec_tunnels/3"). */
void api_tunnel_check(struct api_call *c, const struct api_view *view, const struct model_tunnel *t,
		      const char *pointer);

/* The tunnel as answers show it, with the warnings that belong to it in messages[]. Never a PSK. */
json_t *api_tunnel_json(struct api_call *c, const struct model_tunnel *t);

/* {"last_generated_on": ...}, {} without a PSK */
json_t *api_psk_metadata_json(const struct model_tunnel *t);

/* "a" or "a, b": the nearest of names to what was typed. */
const char *api_nearest(const char *typed, const char *const *names, size_t cnt);
