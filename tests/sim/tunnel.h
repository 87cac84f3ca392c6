// What is configured: tunnels and their keys at the gateways, by rows of the store as the api writes them, and each site's own file.
#pragma once

#include "model/id.h"
#include "world.h"

struct process;

/* Of all tunnels of a run. The bits of a set are sites, the first one is bit 0. */
struct tunnel_settings {
	uint32_t ike_lifetime_s, child_lifetime_s;
	uint64_t rekey_packets;      /* a key is used for so many at most; 0: for any number */
	unsigned fragment_mtu;
	unsigned way_mtu;            /* from sites to gateways: longer datagrams go in IP fragments; 0: none do */
	bool cookies;                /* are always asked for */
	bool mobike;
	unsigned sequenced, extended; /* set: replay_protection, and with extended numbers */
	unsigned ports, roaming;     /* set: behind a NAT that changes the ports, and the address as well */
};
extern const struct tunnel_settings tunnel_usual;

#define TUNNEL_ROUTES_MAX 3

/* Of one tunnel, as one of the two ends has it. */
struct tunnel_terms {
	unsigned generation;         /* a tunnel that is created again is another one */
	unsigned key;                /* number of its PSK */
	bool named;                  /* the site gives the tunnel's id as its identity, and not its address */
	/* of the gateways */
	bool there;
	bool sequenced;
	unsigned routes;             /* set of numbers */
	uint64_t key_rev;            /* the store's revision since which that is the key */
};

/* The account and all tunnels, and the files of all sites. */
void tunnels_begin(void);
struct model_id tunnel_id(const struct process *site);
/* In one transaction, as the api does: site->stored, or without `there` no row of it any more. */
void tunnel_store(const struct process *site);
void tunnel_store_route(const struct process *site, unsigned route);
/* As the site's process does when it starts: site->file is what it runs by from now on. */
void tunnel_read_file(struct process *site);

struct model_id tunnel_route_id(const struct process *site, unsigned route);
struct addr_prefix tunnel_route_prefix(const struct process *site, unsigned route);
void tunnel_key_text(const struct process *site, unsigned key, struct space text);
