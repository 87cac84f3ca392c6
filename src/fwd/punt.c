#include "fwd/punt.h"

#include "ike/step.h"
#include "wire/ike.h"

bool fwd_punt_is_stray(const struct fwd_punt_rings *r, uint32_t spi)
{
	return ike_esp_spi_check(&r->spi_key, spi);
}

struct ring *fwd_punt_ring(struct fwd_punt_rings *r, struct bytes msg)
{
	struct wire_ike_header h;

	if (wire_ike_header_parse(msg, &h) != ERR_NONE)
		return &r->punts;
	/* RFC 7296 3.1: the flag of the original initiator says which SPI is ours. */
	uint64_t ours = (h.flags & IKE_FLAG_INITIATOR) != 0 ? h.spi_r : h.spi_i;
	return ours != 0 && ike_spi_check(&r->spi_key, ours) ? &r->known : &r->punts;
}
