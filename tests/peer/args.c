#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "model/proposal.h"
#include "run.h"

static _Noreturn void usage(void)
{
	fputs("onramp-peer --gateway ADDRESS --local ADDRESS --id KIND:TEXT [options]\n"
	      "  --id fqdn:X | email:X | keyid:X | dn:X | address | address:A   identity\n"
	      "  --psk-file FILE      pre-shared key (or environment ONRAMP_PEER_PSK)\n"
	      "  --start-port 500|4500\n"
	      "  --nat true|fake|none what NAT detection says: the truth, a NAT that is not there, nothing\n"
	      "  --ike aes256gcm16-prfsha256-modp2048   may be repeated; strongSwan's words, or\n"
	      "                       encr=N, encr=N/BITS, integ=N, prf=N, group=N by IANA's numbers\n"
	      "  --esp aes256gcm16[-modp2048]           may be repeated; the group is for rekey-pfs\n"
	      "  --ke-group N         send the first KE payload for this group\n"
	      "  --ts-local PREFIX --ts-remote PREFIX   may be repeated; default any, v4 and v6\n"
	      "  --esn | --esn-too     offers extended sequence numbers alone, or beside those of 32 bits\n"
	      "  --tfc BYTES --dummies padding behind each inner packet, a dummy packet before each\n"
	      "  --transport --no-auth --ask-config --no-initial-contact --childless\n"
	      "  --auth-method N      the method that it claims in AUTH\n"
	      "  --fragments BYTES    takes fragments, and sends none that is longer\n"
	      "  --only-init          no IKE_AUTH behind IKE_SA_INIT\n"
	      "  --keep-group         does not try again with the group that it is told\n"
	      "  --stay-on-500        also with a NAT between\n"
	      "  --no-nats            forbids a NAT between (RFC 4555)\n"
	      "  --fault NAME         one of those below\n"
	      "  --inner ADDRESS --ping ADDRESS         may be repeated; --count N --size BYTES --interval-ms N\n"
	      "  --do STEP,...        ping child rekey rekey-pfs rekey-ike liveness delete-child delete wait:SECONDS closed\n"
	      "                       children:N\n"
	      "  --expect up|auth-failed|no-proposal|ts-unacceptable|invalid-ke|silence|half-open|...\n"
	      "  --timeout SECONDS, --timeout-ms N      for each exchange, default 10 s\n",
	      stderr);
	for (const struct fault *f = fault_next(NULL); f != NULL; f = fault_next(f))
		fprintf(stderr, "  --fault %-14s %s\n", f->name, f->what);
	exit(2);
}

/* One of strongSwan's words into the suite; the group of a Child SA is kept for rekeys. */
static bool take_word(struct peer_suite *s, enum model_phase phase, const char *word)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if ((t->phase & phase) == 0 || t->swanctl[0] == '\0' || strcmp(t->swanctl, word) != 0)
			continue;
		switch (t->type) {
		case IKE_TT_ENCR:
			s->encr = t->id;
			s->key_bits = t->key_bits;
			return true;
		case IKE_TT_INTEG:
			s->integ = t->id;
			return true;
		case IKE_TT_PRF:
			s->prf = t->id;
			return true;
		case IKE_TT_KE:
			s->group = t->id;
			return true;
		case IKE_TT_ESN:
			return true;
		}
	}
	return false;
}

/* A transform by its number, "encr=12/192": for what the gateway must refuse. */
static bool take_number(struct peer_suite *s, const char *word)
{
	unsigned id, bits = 0;
	char kind[8];

	if (sscanf(word, "%7[a-z]=%u/%u", kind, &id, &bits) < 2 || id > UINT16_MAX || bits > UINT16_MAX)
		return false;
	if (strcmp(kind, "encr") == 0)
		s->encr = (uint16_t)id, s->key_bits = (uint16_t)bits;
	else if (strcmp(kind, "integ") == 0)
		s->integ = (uint16_t)id;
	else if (strcmp(kind, "prf") == 0)
		s->prf = (uint16_t)id;
	else if (strcmp(kind, "group") == 0)
		s->group = (uint16_t)id;
	else
		return false;
	return true;
}

static struct peer_suite parse_suite(const char *text, enum model_phase phase)
{
	struct peer_suite s = { 0 };
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, "-", &save); w != NULL; w = strtok_r(NULL, "-", &save))
		if (!take_word(&s, phase, w) && !take_number(&s, w))
			run_die("unknown algorithm \"%s\"", w);
	free(copy);
	return s;
}

static struct addr parse_addr(const char *text)
{
	struct addr a;
	if (addr_parse(bytes_str(text), &a) != ERR_NONE)
		run_die("\"%s\" is no address", text);
	return a;
}

static void take_address_id(struct peer_options *o, struct addr a)
{
	o->id_type = a.family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR;
	o->id_len = (uint16_t)addr_len(a.family);
	memcpy(o->id, a.b, o->id_len);
}

static void parse_id(struct peer_options *o, const char *text)
{
	static const struct {
		const char *prefix;
		uint8_t type;
	} kinds[] = { { "fqdn:", IKE_ID_FQDN }, { "email:", IKE_ID_RFC822_ADDR }, { "keyid:", IKE_ID_KEY_ID },
		    { "dn:", 9 /* ID_DER_ASN1_DN */ } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].prefix), len = strlen(text);
		if (strncmp(text, kinds[i].prefix, n) != 0)
			continue;
		if (len - n > sizeof(o->id) || len == n)
			run_die("--id is empty or too long");
		o->id_type = kinds[i].type;
		o->id_len = (uint16_t)(len - n);
		memcpy(o->id, text + n, len - n);
		return;
	}
	if (strncmp(text, "address:", 8) == 0)
		take_address_id(o, parse_addr(text + 8));
	else if (strcmp(text, "address") == 0)
		o->id_type = 0; /* filled in when --local is known */
	else
		run_die("--id wants fqdn:, email:, keyid:, dn:, address or address:");
}

static void read_psk(struct peer_options *o, const char *path)
{
	uint8_t b[SECRET_MAX + 2];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		run_die("%s: %s", path, strerror(errno));
	n = fread(b, 1, sizeof(b), f);
	fclose(f);
	while (n > 0 && b[n - 1] == '\n')
		n--;
	if (secret_set(&o->psk, bytes_of(b, n)) != ERR_NONE)
		run_die("%s: the key is too long", path);
}

static void add_ts(struct wire_ike_ts *list, uint8_t *cnt, const char *text)
{
	struct addr_prefix p;
	struct wire_ike_ts ts = { .port_last = UINT16_MAX };

	if (addr_prefix_parse(bytes_str(text), &p) != ERR_NONE || *cnt == PEER_TS_MAX)
		run_die("\"%s\" is no prefix, or one too many", text);
	addr_prefix_range(&p, &ts.first, &ts.last);
	list[(*cnt)++] = ts;
}

static unsigned parse_number(const char *text, unsigned max)
{
	uint64_t v;
	if (text_u64_parse(bytes_str(text), max, &v) != ERR_NONE)
		run_die("\"%s\" is no number up to %u", text, max);
	return (unsigned)v;
}

enum { O_GATEWAY = 256, O_LOCAL, O_ID, O_PSK, O_PORT, O_NAT, O_IKE, O_ESP, O_KE, O_TSL, O_TSR, O_TRANSPORT, O_ESN, O_ESNTOO, O_TFC, O_DUMMIES, O_NOAUTH,
       O_CONFIG, O_FAULT, O_FRAGMENTS, O_METHOD, O_CHILDLESS, O_STAY, O_NONATS, O_STUBBORN, O_ONLYINIT, O_NOIC, O_INNER, O_PING, O_COUNT, O_SIZE, O_INTERVAL, O_DO, O_EXPECT, O_TIMEOUT, O_TIMEOUT_MS, O_HELP };

static const struct option long_options[] = {
	{ "gateway", 1, NULL, O_GATEWAY },    { "local", 1, NULL, O_LOCAL },
	{ "id", 1, NULL, O_ID },	      { "psk-file", 1, NULL, O_PSK },
	{ "start-port", 1, NULL, O_PORT },    { "nat", 1, NULL, O_NAT },
	{ "ike", 1, NULL, O_IKE },	      { "esp", 1, NULL, O_ESP },
	{ "ke-group", 1, NULL, O_KE },	      { "ts-local", 1, NULL, O_TSL },
	{ "ts-remote", 1, NULL, O_TSR },      { "transport", 0, NULL, O_TRANSPORT },
	{ "esn-too", 0, NULL, O_ESNTOO },   { "tfc", 1, NULL, O_TFC },
	{ "dummies", 0, NULL, O_DUMMIES },
	{ "esn", 0, NULL, O_ESN },	      { "no-auth", 0, NULL, O_NOAUTH },
	{ "ask-config", 0, NULL, O_CONFIG },  { "fault", 1, NULL, O_FAULT },
	{ "fragments", 1, NULL, O_FRAGMENTS }, { "auth-method", 1, NULL, O_METHOD },
	{ "childless", 0, NULL, O_CHILDLESS }, { "stay-on-500", 0, NULL, O_STAY },
	{ "no-nats", 0, NULL, O_NONATS },
	{ "keep-group", 0, NULL, O_STUBBORN }, { "only-init", 0, NULL, O_ONLYINIT },
	{ "no-initial-contact", 0, NULL, O_NOIC }, { "inner", 1, NULL, O_INNER },
	{ "ping", 1, NULL, O_PING },	      { "count", 1, NULL, O_COUNT },
	{ "size", 1, NULL, O_SIZE },	      { "interval-ms", 1, NULL, O_INTERVAL },
	{ "do", 1, NULL, O_DO },	      { "expect", 1, NULL, O_EXPECT },
	{ "timeout", 1, NULL, O_TIMEOUT },	      { "timeout-ms", 1, NULL, O_TIMEOUT_MS },
	    { "help", 0, NULL, O_HELP },
	{ 0 },
};

/* Counts of what was given; the first of a list replaces the defaults. */
struct given {
	unsigned ike, esp;
	bool tsi, tsr;
};

static void take_list(struct run *r, struct given *given, int option, const char *arg)
{
	struct peer_options *o = &r->o;

	if (option == O_IKE && given->ike < PEER_PROPOSALS_MAX) {
		o->ike[given->ike++] = parse_suite(arg, MODEL_PHASE_IKE);
		o->ike_cnt = given->ike;
	} else if (option == O_ESP && given->esp < PEER_PROPOSALS_MAX) {
		struct peer_suite s = parse_suite(arg, MODEL_PHASE_CHILD);
		if (given->esp == 0)
			r->esp_pfs = s;
		s.group = IKE_GROUP_NONE; /* there is no KE payload in IKE_AUTH */
		o->esp[given->esp++] = s;
		o->esp_cnt = given->esp;
	} else if (option == O_TSL) {
		o->tsi_cnt = given->tsi ? o->tsi_cnt : 0;
		given->tsi = true;
		add_ts(o->tsi, &o->tsi_cnt, arg);
	} else if (option == O_TSR) {
		o->tsr_cnt = given->tsr ? o->tsr_cnt : 0;
		given->tsr = true;
		add_ts(o->tsr, &o->tsr_cnt, arg);
	} else if (option == O_INNER && r->inner_cnt < PINGS_MAX) {
		r->inner[r->inner_cnt++] = parse_addr(arg);
	} else if (option == O_PING && r->ping_cnt < PINGS_MAX) {
		r->ping[r->ping_cnt++] = parse_addr(arg);
	} else {
		run_die("too many of one option");
	}
}

static void take_fault(struct run *r, const char *name)
{
	r->fault = fault_find(name);
	if (r->fault == NULL)
		run_die("there is no fault \"%s\"", name);
	r->o.edit = fault_edit;
	r->o.edit_arg = &r->fault;
}

static void take_option(struct run *r, int option, const char *arg)
{
	struct peer_options *o = &r->o;

	switch (option) {
	case O_GATEWAY: o->remote.addr = parse_addr(arg); break;
	case O_LOCAL: o->local.addr = parse_addr(arg); break;
	case O_ID: parse_id(o, arg); break;
	case O_PSK: read_psk(o, arg); break;
	case O_PORT: o->local.port = o->remote.port = (uint16_t)parse_number(arg, 4500); break;
	case O_NAT:
		o->natd = strcmp(arg, "fake") == 0   ? PEER_NATD_FAKE
			  : strcmp(arg, "none") == 0 ? PEER_NATD_NONE
						     : PEER_NATD_TRUE;
		break;
	case O_KE: o->ke_group = (uint16_t)parse_number(arg, UINT16_MAX); break;
	case O_TRANSPORT: o->transport_mode = true; break;
	case O_ESN:
		o->esn = true;
		o->no_esn = false;
		break;
	case O_ESNTOO: o->esn = true; break;
	case O_TFC: r->tfc = parse_number(arg, 1200); break;
	case O_DUMMIES: r->dummies = true; break;
	case O_NOAUTH: o->no_auth_payload = true; break;
	case O_CONFIG: o->ask_config = true; break;
	case O_FAULT: take_fault(r, arg); break;
	case O_FRAGMENTS: o->fragment_size = parse_number(arg, 1400); break;
	case O_METHOD: o->auth_method = (uint8_t)parse_number(arg, 255); break;
	case O_CHILDLESS: o->childless = true; break;
	case O_NONATS: o->no_nats = true; break;
	case O_STAY: o->stays_on_500 = true; break;
	case O_STUBBORN: o->keeps_group = true; break;
	case O_ONLYINIT: r->only_init = true; break;
	case O_NOIC: o->initial_contact = false; break;
	case O_COUNT: r->count = parse_number(arg, ARRAY_LEN(r->replied)); break;
	case O_SIZE: r->size = parse_number(arg, 8900); break;
	case O_INTERVAL: r->interval_ms = parse_number(arg, 60000); break;
	case O_DO: r->steps = arg; break;
	case O_EXPECT: r->expect = arg; break;
	case O_TIMEOUT: r->timeout_ms = parse_number(arg, 3600) * 1000; break;
	case O_TIMEOUT_MS: r->timeout_ms = parse_number(arg, 3600000); break;
	default: usage();
	}
}

void run_read_args(struct run *r, int argc, char **argv)
{
	struct given given = { 0 };
	const char *env = getenv("ONRAMP_PEER_PSK");
	bool has_id = false;
	int c;

	*r = (struct run){ .count = 3, .size = 56, .interval_ms = 20, .timeout_ms = 10000, .expect = "up" };
	peer_options_init(&r->o);
	r->o.local.port = r->o.remote.port = IKE_PORT;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		has_id |= c == O_ID;
		if (c == O_IKE || c == O_ESP || c == O_TSL || c == O_TSR || c == O_INNER || c == O_PING)
			take_list(r, &given, c, optarg);
		else
			take_option(r, c, optarg);
	}
	if (optind != argc || r->o.local.addr.family == ADDR_NONE || r->o.local.addr.family != r->o.remote.addr.family ||
	    !has_id)
		usage();
	if (r->o.id_type == 0)
		take_address_id(&r->o, r->o.local.addr);
	if (env != NULL && r->o.psk.len == 0 && secret_set(&r->o.psk, bytes_str(env)) != ERR_NONE)
		run_die("ONRAMP_PEER_PSK is too long");
	if (r->o.psk.len == 0)
		run_die("no pre-shared key");
}
