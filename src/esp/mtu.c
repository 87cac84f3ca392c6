#include "esp/mtu.h"

#include "crypt/suite.h"

enum { ESP_HEADER_LEN = 8, ESP_TRAILER_LEN = 2, ESP_ALIGN = 4, UDP_HEADER_LEN = 8 };

uint16_t esp_mtu(const struct model_suite *suite, uint16_t outer_mtu, enum addr_family outer, bool udp_encap)
{
	size_t icv = crypt_icv_len(suite->encr, suite->integ);
	size_t block = crypt_encr_block_len(suite->encr);
	size_t align = block > ESP_ALIGN ? block : ESP_ALIGN;
	size_t front = (outer == ADDR_V6 ? 40u : 20u) + (udp_encap ? (size_t)UDP_HEADER_LEN : 0) +
		       ESP_HEADER_LEN + crypt_encr_iv_len(suite->encr);

	if (icv == 0 || outer_mtu < front + icv + align)
		return 0;
	/* The text is whole blocks and ends with the two bytes of the trailer. */
	size_t text = (outer_mtu - front - icv) / align * align;
	return (uint16_t)(text - ESP_TRAILER_LEN);
}
