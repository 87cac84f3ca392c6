#include "esp/burst.h"

#include "esp/state.h"
#include "wire/esp.h"

size_t esp_front_len(const struct esp_sa *sa)
{
	return WIRE_ESP_HEADER_LEN + (size_t)sa->iv_len;
}

size_t esp_sealed_len(const struct esp_sa *sa, size_t inner_len)
{
	return esp_front_len(sa) + inner_len + wire_esp_pad_len(inner_len, sa->block_len) + 2 + sa->icv_len;
}
