#include "ike/step.h"

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
