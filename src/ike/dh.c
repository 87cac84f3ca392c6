// Diffie-Hellman: a step asks for it, and ends; a thread of its own computes; the result comes with the same event again.
#include "ike/ctx.h"

MUST_USE enum err ike_dh_run(const struct ike_dh_job *job, struct crypt_dh_result *ret)
{
	switch (job->op) {
	case IKE_DH_RESPOND:
		return crypt_dh_respond(job->group, job->peer_public, ret);
	case IKE_DH_GENERATE:
		return crypt_dh_generate(job->group, ret);
	case IKE_DH_DERIVE:
		return crypt_dh_finish(job->group, job->private, job->peer_public, ret);
	}
	return ERR_UNSUPPORTED;
}

void ike_dh_ask(struct ike_ctx *c, const struct ike_dh_job *job)
{
	ike_out_reset(c->out);
	ike_out_add(c->out, IKE_ACT_DH)->dh = *job;
	c->drop = true;
}

void ike_dh_respond(struct ike_ctx *c, uint16_t group, struct bytes peer_public)
{
	ike_dh_ask(c, &(struct ike_dh_job){ .op = IKE_DH_RESPOND, .group = group, .peer_public = peer_public });
}

struct bytes ike_dh_private(const struct ike_ctx *c)
{
	return bytes_of(c->before->request.private, c->before->request.private_len);
}
