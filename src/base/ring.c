#include "base/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/ck.h"
#include "base/secret.h"

MUST_USE enum err ring_init(struct ring *r, uint32_t cnt, uint32_t elem_len)
{
	uint32_t n = 1;
	size_t total;

	must(elem_len != 0);
	if (cnt > 1u << 30)
		return ERR_MEMORY;
	while (n < cnt)
		n *= 2;
	if (!ck_mul(n, elem_len, &total))
		return ERR_MEMORY;
	uint8_t *slots = calloc(1, total);
	if (slots == NULL)
		return ERR_MEMORY;
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	r->mask = n - 1;
	r->elem_len = elem_len;
	r->slots = slots;
	return ERR_NONE;
}

void ring_fini(struct ring *r)
{
	if (r->slots != NULL)
		secret_wipe(r->slots, (size_t)(r->mask + 1) * r->elem_len);
	free(r->slots);
	r->slots = NULL;
}

void *ring_slot(struct ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	if (head - tail > r->mask)
		return NULL;
	return r->slots + (size_t)(head & r->mask) * r->elem_len;
}

void ring_give(struct ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

uint32_t ring_given(const struct ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed);
}

bool ring_taken(const struct ring *r, uint32_t given)
{
	uint32_t left = given - atomic_load_explicit(&r->tail, memory_order_acquire);
	return left == 0 || left > UINT32_MAX / 2;
}

MUST_USE bool ring_push(struct ring *r, const void *elem)
{
	void *slot = ring_slot(r);
	if (slot == NULL)
		return false;
	memcpy(slot, elem, r->elem_len);
	ring_give(r);
	return true;
}

const void *ring_peek(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	if (head == tail)
		return NULL;
	return r->slots + (size_t)(tail & r->mask) * r->elem_len;
}

void ring_done(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

MUST_USE bool ring_pop(struct ring *r, void *elem)
{
	const void *slot = ring_peek(r);
	if (slot == NULL)
		return false;
	memcpy(elem, slot, r->elem_len);
	ring_done(r);
	return true;
}
