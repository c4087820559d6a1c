// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring for each possible CPU: a page that it shares with the reader, and
 * pages of data. The data is mapped twice in a row, here and in the reader, so
 * that an event that begins before the ring's end goes on behind it and is
 * never split. Only its own CPU writes to a ring, with preemption off.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "tap.h"

struct tap_ring {
	struct tap_shared *shared;
	u8 *data;		/* the pages, twice in a row */
	struct page **pages;	/* of data, once */
	u64 head;		/* the reader cannot write to this one */
};

static struct tap_ring *rings;
static unsigned int ring_bytes;

static unsigned int ring_pages(void)
{
	return ring_bytes / PAGE_SIZE;
}

static void ring_destroy(struct tap_ring *ring)
{
	unsigned int i;

	vunmap(ring->data);
	for (i = 0; ring->pages && i < ring_pages(); i++) {
		if (ring->pages[i])
			__free_page(ring->pages[i]);
	}
	kvfree(ring->pages);
	free_page((unsigned long)ring->shared);
	memset(ring, 0, sizeof(*ring));
}

/* Pages that lie twice in a row in the kernel's own space. */
static u8 *map_twice(struct page **pages, unsigned int count)
{
	struct page **twice;
	u8 *data;

	twice = kvmalloc_array(2 * count, sizeof(*twice), GFP_KERNEL);
	if (!twice)
		return NULL;
	memcpy(twice, pages, count * sizeof(*twice));
	memcpy(twice + count, pages, count * sizeof(*twice));
	data = vmap(twice, 2 * count, VM_MAP, PAGE_KERNEL);
	kvfree(twice);
	return data;
}

static int ring_create(struct tap_ring *ring, int node)
{
	unsigned int i;

	ring->shared = (struct tap_shared *)get_zeroed_page(GFP_KERNEL);
	ring->pages = kvcalloc(ring_pages(), sizeof(*ring->pages), GFP_KERNEL);
	if (!ring->shared || !ring->pages)
		return -ENOMEM;
	for (i = 0; i < ring_pages(); i++) {
		ring->pages[i] = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		if (!ring->pages[i])
			return -ENOMEM;
	}
	ring->data = map_twice(ring->pages, ring_pages());
	return ring->data ? 0 : -ENOMEM;
}

int tap_rings_create(unsigned int bytes)
{
	int cpu, error;

	ring_bytes = bytes;
	rings = kcalloc(nr_cpu_ids, sizeof(*rings), GFP_KERNEL);
	if (!rings)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		error = ring_create(&rings[cpu], cpu_to_node(cpu));
		if (error) {
			tap_rings_destroy();
			return error;
		}
	}
	return 0;
}

void tap_rings_destroy(void)
{
	int cpu;

	if (!rings)
		return;
	for_each_possible_cpu(cpu)
		ring_destroy(&rings[cpu]);
	kfree(rings);
	rings = NULL;
}

/* Begin anew, for a new reader: nothing is traced while this is called. */
void tap_rings_reset(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		rings[cpu].head = 0;
		memset(rings[cpu].shared, 0, sizeof(*rings[cpu].shared));
	}
}

unsigned int tap_rings_bytes(void)
{
	return ring_bytes;
}

bool tap_rings_filled(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct tap_shared *shared = rings[cpu].shared;

		if (READ_ONCE(shared->head) != READ_ONCE(shared->tail))
			return true;
	}
	return false;
}

/* One CPU's region into a reader: the shared page, the data, the data again. */
int tap_rings_map(struct vm_area_struct *vma)
{
	unsigned long count = ring_pages(), all = 1 + 2 * count, i;
	unsigned long place = vma->vm_start;
	unsigned long cpu = vma->vm_pgoff / all;
	int error;

	if (vma->vm_pgoff % all || vma_pages(vma) != all ||
	    !(vma->vm_flags & VM_SHARED) || cpu >= nr_cpu_ids ||
	    !cpu_possible(cpu))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	error = vm_insert_page(vma, place, virt_to_page(rings[cpu].shared));
	for (i = 0; !error && i < 2 * count; i++) {
		place += PAGE_SIZE;
		error = vm_insert_page(vma, place, rings[cpu].pages[i % count]);
	}
	return error;
}

/* Send an event, its fields behind it: into this CPU's ring, or to the count of drops. */
void tap_send(struct tap_event *event, u32 len)
{
	struct tap_shared *shared;
	struct tap_ring *ring;
	u64 used;

	preempt_disable();
	ring = &rings[smp_processor_id()];
	shared = ring->shared;
	event->len = len;
	event->cpu = smp_processor_id();
	WRITE_ONCE(shared->counts.offered, shared->counts.offered + 1);
	/* The tail is the reader's: whatever it says, nothing is written elsewhere. */
	used = ring->head - smp_load_acquire(&shared->tail);
	if (used > ring_bytes || ring_bytes - used < len) {
#ifdef TAP_WRONG_SILENT_DROP
		WRITE_ONCE(shared->counts.offered, shared->counts.offered - 1);
#else
		WRITE_ONCE(shared->counts.dropped, shared->counts.dropped + 1);
#endif
	} else {
		memcpy(ring->data + ring->head % ring_bytes, event, len);
		ring->head += len;
		/* Pairs with the reader: what it finds before the head is whole. */
		smp_store_release(&shared->head, ring->head);
	}
	preempt_enable();
	tap_wake();
}
