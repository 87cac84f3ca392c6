// The processes of a simulation: gateways over one store, and sites with a store each. The code of control, whole.
#pragma once

#include "control/internal.h"
#include "tunnel.h"
#include "world.h"

enum process_kind { PROCESS_GATEWAY, PROCESS_SITE };

/* What a site is. */
enum site_kind {
	SITE_HONEST,
	SITE_WRONG_KEY, /* its own tunnel, with a key that is not the tunnel's */
	SITE_FORGER,    /* the tunnel of the first site, without its key */
};

struct process {
	enum process_kind kind;
	enum site_kind site_kind;
	unsigned who;
	char name[16];
	struct addr addr;
	struct world_store *ws;
	struct store *store;         /* outlives it */
	struct world_clock clock;
	/* of the process that lives, c NULL: none does */
	struct control *c;
	uint32_t incarnation;
	struct fwd *fwd;
	struct fwd_punt_rings rings;
	struct control_socket sockets[2];
	int parent_fd;
	bool poked;                  /* something came */
	uint64_t turn_us;            /* it looks around at least then */
	uint64_t frozen_us;          /* until then it does nothing */
	uint64_t start_us;           /* of one that is dead */
	uint64_t dead_us;            /* since then */
	uint64_t told_us;            /* of a site: it is told of what is configured then; 0: it has been (admin.c) */
	uint64_t told_rev;           /* of the cluster's store, when the latest datagram that came here was sent */
	uint64_t packets_us;         /* when it sends packets next (traffic.c) */
	/* its settings */
	struct conf conf;
	/* of a site: what the gateways have of its tunnel, what its own file says, and what its process has read of that (tunnel.c) */
	struct tunnel_terms stored, file, running;
	struct conf_site site;
	struct conf_tunnel tunnel;
};

struct processes {
	unsigned gateways, cnt;      /* the gateways come first */
	bool clustered;
	struct world_store *ws;      /* of the gateways */
	struct tunnel_settings settings;
	struct crypt_seal_ring seal;
	struct model_id account_id;
	struct process p[WORLD_PROCESSES_MAX];
};

extern struct processes all;

/* Sites beyond the honest ones follow them: one with the wrong key, and a forger. */
void processes_init(unsigned gateways, bool clustered, unsigned honest, bool strangers, const struct tunnel_settings *settings);
void processes_fini(void); /* ends those that live, in peace */

/* False: its store is away. */
bool process_start(struct process *p);
/* Its store is over a network. Before it starts. */
void process_over_etcd(struct process *p);
void process_kill(struct process *p);
bool process_is_frozen(const struct process *p);
/* What is stored of a site is lost. */
void process_empty(struct process *p);
/* Does what is due. */
void process_turn(struct process *p);
/* That came to it. */
void process_deliver(struct process *p, const struct world_datagram *d);

bool process_is_honest(const struct process *p);
/* An honest site whose tunnel is configured, and as its own file says. */
bool process_is_wanted(const struct process *site);
unsigned process_site_number(const struct process *site); /* from 1 on */
/* Of the site with that number. */
struct process *process_site(unsigned number);
/* The tunnel of that site at a gateway; that of a site is its own, whatever the number. */
struct control_tunnel *process_tunnel(const struct process *p, unsigned site);
/* To the history: what it has dropped since its start, and why. */
void process_tell_drops(const struct process *p);
/* Requests for a new IKE SA that honest sites have sent. */
unsigned process_inits(void);

/* The next incarnation is that of this process, if there is one: to see that it is noticed. */
extern const struct process *process_copied;
