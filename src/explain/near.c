#include "explain/near.h"

#include "base/iana.h"
#include "base/text.h"

#include <stdio.h>
#include <strings.h>

/* ---- distance ---- */

/* Wagner and Fischer's table, one row of it, with transposed neighbours left as two changes. */
unsigned explain_edit_distance(const char *a, const char *b, unsigned max)
{
	unsigned row[EXPLAIN_NEAR_PART_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > EXPLAIN_NEAR_PART_MAX || lb > EXPLAIN_NEAR_PART_MAX ||
	    (la > lb ? la - lb : lb - la) > max)
		return max + 1;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		unsigned corner = row[0], least = (unsigned)i;
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]), one = row[j] + 1, other = row[j - 1] + 1;
			corner = row[j];
			row[j] = change < one ? change : one;
			row[j] = other < row[j] ? other : row[j];
			least = row[j] < least ? row[j] : least;
		}
		if (least > max)
			return max + 1;
	}
	return row[lb] > max ? max + 1 : row[lb];
}

/* ---- reading what was sent ---- */

static uint8_t type_of(const char **text)
{
	static const struct {
		const char *prefix;
		uint8_t type;
	} types[] = { { "fqdn:", IKE_ID_FQDN },   { "rfc822:", IKE_ID_RFC822_ADDR }, { "keyid:", IKE_ID_KEY_ID },
		      { "ipv4:", IKE_ID_IPV4_ADDR }, { "ipv6:", IKE_ID_IPV6_ADDR } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t n = strlen(types[i].prefix);
		if (strncmp(*text, types[i].prefix, n) != 0)
			continue;
		*text += n;
		return types[i].type;
	}
	return 0;
}

/* Copies up to the mark, in lower case; returns what stands behind it, or the end. Too long: empty. */
static const char *take_part(const char *text, const char *marks, char part[static EXPLAIN_NEAR_PART_MAX])
{
	size_t n = strcspn(text, marks);

	part[0] = 0;
	if (n < EXPLAIN_NEAR_PART_MAX) {
		for (size_t i = 0; i < n; i++)
			part[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
		part[n] = 0;
	}
	return text + n + (text[n] != 0);
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* A key id as the API shows it (hex_id), in hex, which the router took for the text itself. */
static bool decode_hex(const char *text, char plain[static EXPLAIN_NEAR_PLAIN_MAX])
{
	size_t len = strlen(text);

	if (len % 2 != 0 || len / 2 <= MODEL_ID_TEXT_LEN || len / 2 >= EXPLAIN_NEAR_PLAIN_MAX)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int high = digit_of(text[i]), low = digit_of(text[i + 1]);
		if (high < 2 || low < 0) /* no printable character begins below 2 */
			return false;
		plain[i / 2] = (char)(high << 4 | low);
	}
	plain[len / 2] = 0;
	return strchr(plain, '_') != NULL;
}

void explain_near_start(struct explain_near *n, const char *identity, const char *domain)
{
	char first[EXPLAIN_NEAR_PART_MAX], plain[EXPLAIN_NEAR_PLAIN_MAX];

	*n = (struct explain_near){ .domain = domain, .distance = EXPLAIN_NEAR_DISTANCE_MAX + 1 };
	n->type = type_of(&identity);
	n->in_hex = decode_hex(identity, plain);
	if (n->in_hex)
		identity = plain;
	if (strchr(identity, '@') != NULL) {
		identity = take_part(identity, "@", first);
		n->user_form = true;
		n->user_good = strcmp(first, "ipsec") == 0;
	}
	n->key_form = !n->user_form && strchr(identity, '_') != NULL;
	if (n->key_form) {
		identity = take_part(identity, "_", n->account);
		(void)take_part(identity, "", n->tunnel);
		n->domain_good = true;
		return;
	}
	identity = take_part(identity, ".", n->tunnel);
	identity = take_part(identity, ".", n->account);
	n->domain_good = strcasecmp(identity, domain) == 0;
	if (strlen(n->tunnel) < MODEL_ID_TEXT_LEN / 2 && strlen(n->account) > MODEL_ID_TEXT_LEN / 2) {
		memcpy(first, n->tunnel, sizeof(first));
		memcpy(n->tunnel, n->account, sizeof(n->tunnel));
		memcpy(n->account, first, sizeof(n->account));
		n->swapped = true;
	}
}

/* ---- comparing ---- */

void explain_near_try(struct explain_near *n, const struct model_id *tunnel, const struct model_id *account,
		      uint32_t account_number)
{
	char id[MODEL_ID_TEXT_MAX], account_id[MODEL_ID_TEXT_MAX], number[16];
	unsigned limit = n->distance == 0 ? 0 : n->distance - 1;
	unsigned d = explain_edit_distance(n->tunnel, model_id_text(tunnel, id), limit);

	if (d > limit || (n->distance == 0))
		return;
	snprintf(number, sizeof(number), "%u", account_number);
	n->distance = d;
	n->tunnel_id = *tunnel;
	n->account_id = *account;
	n->account_number = account_number;
	n->account_good = strcmp(n->account, number) == 0 ||
			  strcmp(n->account, model_id_text(account, account_id)) == 0;
}

/* The type that goes with the form of the text. */
static bool type_fits(const struct explain_near *n)
{
	if (n->swapped || n->in_hex)
		return false;
	if (n->key_form)
		return n->type == IKE_ID_KEY_ID;
	if (n->user_form)
		return n->type == IKE_ID_RFC822_ADDR && n->user_good;
	return n->type == IKE_ID_FQDN;
}

static uint8_t judge(const struct explain_near *n)
{
	if (n->type == IKE_ID_IPV4_ADDR || n->type == IKE_ID_IPV6_ADDR)
		return MODEL_FAILURE_IDENTITY_ADDRESS;
	if (n->distance > EXPLAIN_NEAR_DISTANCE_MAX)
		return MODEL_FAILURE_UNKNOWN_IDENTITY;
	if (n->distance > 0)
		return MODEL_FAILURE_IDENTITY_TYPO;
	if (!n->account_good && n->account[0] != 0)
		return MODEL_FAILURE_IDENTITY_ACCOUNT;
	if (!type_fits(n) || n->account[0] == 0)
		return MODEL_FAILURE_IDENTITY_FORM;
	if (!n->domain_good)
		return MODEL_FAILURE_IDENTITY_DOMAIN;
	return MODEL_FAILURE_UNKNOWN_IDENTITY;
}

void explain_near_end(const struct explain_near *n, struct model_failure *f)
{
	f->code = judge(n);
	if (n->distance > EXPLAIN_NEAR_DISTANCE_MAX)
		return;
	f->near_tunnel_id = n->tunnel_id;
	f->near_account_id = n->account_id;
	f->near_account_number = n->account_number;
}
