// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel module's rings, one for each CPU, mapped. Each ring is mapped
 * twice in a row: an event that begins before its end goes on behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader.h"

struct kmod {
	struct source source;
	int device;
	size_t ring;	/* bytes of one ring */
	size_t region;	/* bytes of a CPU's region */
	size_t page;
	struct tap_shared *shared[MOST_CPUS];
};

/* Read one ring to where its head is now: a busy ring does not starve others. */
static int read_ring(struct kmod *kmod, struct tap_shared *shared)
{
	const char *ring = (const char *)shared + kmod->page;
	__u64 head = __atomic_load_n(&shared->head, __ATOMIC_ACQUIRE);
	__u64 tail = shared->tail;

	while (tail < head) {
		const struct tap_event *event =
			(const void *)(ring + tail % kmod->ring);

		if (!deliver(event, head - tail))
			return -EBADMSG;
		tail += event->len;
		__atomic_store_n(&shared->tail, tail, __ATOMIC_RELEASE);
	}
	return 0;
}

static int kmod_read(struct source *source)
{
	struct kmod *kmod = (struct kmod *)source;

	for (int cpu = 0; cpu < source->cpus; cpu++) {
		int error = read_ring(kmod, kmod->shared[cpu]);

		if (error < 0)
			return error;
	}
	return 0;
}

static int kmod_wait(struct source *source)
{
	struct kmod *kmod = (struct kmod *)source;
	struct pollfd wanted = { .fd = kmod->device, .events = POLLIN };

	return poll(&wanted, 1, WAIT_MS) < 0 ? -errno : 0;
}

static int kmod_counts(struct source *source, struct tap_counts *counts)
{
	struct kmod *kmod = (struct kmod *)source;

	for (int cpu = 0; cpu < source->cpus; cpu++) {
		const struct tap_counts *there = &kmod->shared[cpu]->counts;

		/* In this order: an event is offered before it is dropped. */
		counts[cpu].dropped = __atomic_load_n(&there->dropped, __ATOMIC_ACQUIRE);
		counts[cpu].offered = __atomic_load_n(&there->offered, __ATOMIC_ACQUIRE);
	}
	return 0;
}

/* A module's probes always run. */
static __u64 kmod_missed(struct source *source)
{
	(void)source;
	return 0;
}

static void kmod_stop(struct source *source)
{
	struct kmod *kmod = (struct kmod *)source;

	ioctl(kmod->device, TAP_IOC_STOP);
}

static void kmod_close(struct source *source)
{
	struct kmod *kmod = (struct kmod *)source;

	for (int cpu = 0; cpu < source->cpus; cpu++) {
		if (kmod->shared[cpu])
			munmap(kmod->shared[cpu], kmod->region);
	}
	if (kmod->device >= 0)
		close(kmod->device);
	free(kmod);
}

static int kmod_begin(struct kmod *kmod, const char *device)
{
	struct tap_info info;

	kmod->device = open(device, O_RDWR | O_CLOEXEC);
	if (kmod->device < 0 || ioctl(kmod->device, TAP_IOC_INFO, &info) < 0)
		return -errno;
	if (!version_fits(&info.version) || info.cpus > MOST_CPUS)
		return -EPROTO;
	kmod->page = info.page;
	kmod->ring = info.ring;
	kmod->region = info.page + 2 * (size_t)info.ring;
	kmod->source.cpus = info.cpus;
	for (int cpu = 0; cpu < kmod->source.cpus; cpu++) {
		void *region = mmap(NULL, kmod->region, PROT_READ | PROT_WRITE,
				    MAP_SHARED, kmod->device,
				    (off_t)cpu * kmod->region);

		if (region == MAP_FAILED)
			return -errno;
		kmod->shared[cpu] = region;
	}
	return ioctl(kmod->device, TAP_IOC_START) < 0 ? -errno : 0;
}

struct source *kmod_open(const char *device)
{
	struct kmod *kmod = calloc(1, sizeof(*kmod));
	int error;

	if (!kmod)
		return NULL;
	kmod->device = -1;
	kmod->source = (struct source){
		.read = kmod_read, .wait = kmod_wait, .counts = kmod_counts,
		.missed = kmod_missed, .stop = kmod_stop, .close = kmod_close,
	};
	error = kmod_begin(kmod, device);
	if (error < 0) {
		fprintf(stderr, "tap-reader: %s: %s\n", device, strerror(-error));
		kmod_close(&kmod->source);
		return NULL;
	}
	return &kmod->source;
}
