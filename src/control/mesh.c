// The mesh: datagrams between the nodes of a cluster.
#include "control/internal.h"

void control_mesh_forward(struct control *c, uint16_t slot, const struct fwd_punt *p)
{
	if (c->mesh == NULL)
		return;
	(void)slot;
	(void)p;
}

void control_mesh_proven(struct control *c, uint32_t spi_in)
{
	if (c->mesh == NULL)
		return;
	(void)spi_in;
}

void control_mesh_applied(struct control *c, uint64_t rev)
{
	if (c->mesh == NULL)
		return;
	(void)rev;
}

uint64_t control_mesh_site_applied(const struct control *c)
{
	return cluster_site_applied(&c->members);
}

void control_mesh_inner(struct control *c, uint16_t slot, uint32_t spi_in, struct bytes packet)
{
	if (c->mesh == NULL)
		return;
	(void)slot;
	(void)spi_in;
	(void)packet;
}
