// The queue of Diffie-Hellman jobs: bounded, and never full for SAs that stand.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <poll.h>

#include <cmocka.h>

#include "base/secret.h"
#include "control/dh.h"

static const struct ike_dh_job generate = { .op = IKE_DH_GENERATE, .group = IKE_GROUP_MODP2048 };

static void take(struct control_dh *d, struct control_dh_done *ret)
{
	struct pollfd p = { .fd = control_dh_fd(d), .events = POLLIN };

	while (!control_dh_take(d, ret))
		must(poll(&p, 1, 10000) >= 0);
}

static void strangers_fill_their_share_and_sas_still_have_theirs(void **state)
{
	struct control_dh *d;
	struct control_dh_done done;
	uint64_t tag = 0;

	(void)state;
	assert_int_equal(control_dh_new(1, &d), ERR_NONE);
	while (control_dh_submit(d, tag, &generate, false) == ERR_NONE)
		tag++;
	/* results stay in the queue until they are taken, so the bound is exact */
	assert_int_equal(tag, CONTROL_DH_QUEUE_MAX - CONTROL_DH_RESERVED);
	for (unsigned i = 0; i < CONTROL_DH_RESERVED; i++)
		assert_int_equal(control_dh_submit(d, 1000 + i, &generate, true), ERR_NONE);
	assert_int_equal(control_dh_submit(d, 5000, &generate, true), ERR_FULL);
	/* urgent ones overtake: all of them are done before the last of the others */
	unsigned urgent = 0, others = 0;
	uint64_t last = 0;
	while (urgent + others < CONTROL_DH_QUEUE_MAX) {
		take(d, &done);
		assert_int_equal(done.err, ERR_NONE);
		urgent += done.tag >= 1000;
		others += done.tag < 1000;
		assert_true(done.tag >= 1000 || done.tag >= last); /* the others in their order */
		last = done.tag >= 1000 ? last : done.tag;
		if (others == CONTROL_DH_QUEUE_MAX - CONTROL_DH_RESERVED)
			assert_int_equal(urgent, CONTROL_DH_RESERVED);
		secret_wipe(&done, sizeof(done));
	}
	assert_int_equal(control_dh_submit(d, 1, &generate, false), ERR_NONE);
	control_dh_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_fill_their_share_and_sas_still_have_theirs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
