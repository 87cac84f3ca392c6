// wire/esp.h: any bytes as a datagram to UDP 4500, as an ESP packet, and as decrypted text.
#include "fuzz.h"

#include "wire/esp.h"
#include "wire/ike.h"

static void check_natt(struct bytes datagram)
{
	struct bytes body;
	struct wire_esp esp;
	struct wire_ike_header h;

	switch (wire_natt_classify(datagram, &body)) {
	case WIRE_NATT_KEEPALIVE:
		must(datagram.len == 1);
		break;
	case WIRE_NATT_IKE:
		must(body.len + 4 == datagram.len && body.len >= WIRE_IKE_HEADER_LEN);
		break;
	case WIRE_NATT_ESP:
		must(wire_esp_parse(body, &esp) == ERR_NONE && esp.spi >= WIRE_ESP_SPI_MIN);
		break;
	case WIRE_NATT_NOMARKER:
		must(wire_ike_header_parse(body, &h) == ERR_NONE);
		break;
	case WIRE_NATT_JUNK:
		break;
	}
	must_lie_within(body, datagram);
}

/* What was stripped is what a sender adds. */
static void check_strip(struct bytes text)
{
	struct bytes inner;
	uint8_t next;

	if (wire_esp_strip(text, &inner, &next) != ERR_NONE)
		return;
	must_lie_within(inner, text);
	must(inner.len + 2 <= text.len && text.p[text.len - 1] == next);
	must(text.p[text.len - 2] == text.len - 2 - inner.len);
	must((inner.len + wire_esp_pad_len(inner.len, 16) + 2) % 16 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes input = bytes_of(data, len);

	check_natt(input);
	check_strip(input);
	return 0;
}
