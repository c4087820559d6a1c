// SPDX-License-Identifier: GPL-2.0-only
/*
 * The legacy probe's perf buffers, one for each CPU. The kernel makes none for
 * a CPU that is off, and when a CPU goes it lets go of that CPU's for good: what
 * happens there once it is back is dropped, until it has a buffer again.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "perf.h"

#define PERF_PAGES 256

/* One CPU's buffer, NULL while it is off; how much was read of it, and until the last look. */
struct perf_cpu {
	struct perf_buffer *buffer;
	__u64 read, before, dropped;
};

struct perf {
	int map, epoll, cpus;
	bool failed;
	const struct tap_counts *counters;
	struct perf_cpu of[];
};

/* A program's output as perf hands it out: linux/perf_event.h, PERF_SAMPLE_RAW. */
struct sample {
	struct perf_event_header header;
	__u32 size;
	char data[];
};

/* The probe counts what found no room; perf says so too, in records of another type. */
static enum bpf_perf_event_ret on_record(void *of, int cpu,
					 struct perf_event_header *header)
{
	const struct sample *sample = (const struct sample *)header;
	struct perf *perf = of;

	if (header->type != PERF_RECORD_SAMPLE)
		return LIBBPF_PERF_EVENT_CONT;
	perf->of[cpu].read++;
	if (!deliver(sample->data, sample->size))
		perf->failed = true;
	return LIBBPF_PERF_EVENT_CONT;
}

/* Make a CPU's buffer; a CPU that is off gets none, and that is no failure. */
static int make(struct perf *perf, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.wakeup_events = 1,
	};
	LIBBPF_OPTS(perf_buffer_raw_opts, options, .cpu_cnt = 1, .cpus = &cpu,
		    .map_keys = &cpu);
	struct epoll_event wanted = { .events = EPOLLIN };
	struct perf_buffer *buffer;

	buffer = perf_buffer__new_raw(perf->map, PERF_PAGES, &attr, on_record,
				      perf, &options);
	if (!buffer)
		return errno == ENODEV ? 0 : -errno;
	if (epoll_ctl(perf->epoll, EPOLL_CTL_ADD,
		      perf_buffer__buffer_fd(buffer, 0), &wanted)) {
		int error = -errno;

		perf_buffer__free(buffer);
		return error;
	}
	perf->of[cpu].buffer = buffer;
	return 0;
}

/*
 * Make another buffer in place of one that gets nothing. What still lies in the
 * old one is read once nothing more can come.
 */
static int make_again(struct perf *perf, int cpu)
{
	struct perf_buffer *old = perf->of[cpu].buffer;
	int error = 0;

	perf->of[cpu].buffer = NULL;
	if (old) {
		bpf_map_delete_elem(perf->map, &cpu);
		error = perf_buffer__consume(old);
		perf_buffer__free(old);
	}
	return error < 0 ? error : make(perf, cpu);
}

struct perf *perf_new(int map, int cpus, const struct tap_counts *counters)
{
	struct perf *perf = calloc(1, sizeof(*perf) + cpus * sizeof(*perf->of));
	int error = 0;

	if (!perf)
		return NULL;
	perf->map = map;
	perf->cpus = cpus;
	perf->counters = counters;
	perf->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (perf->epoll < 0)
		error = -errno;
	for (int cpu = 0; !error && cpu < cpus; cpu++)
		error = make(perf, cpu);
	if (!error)
		return perf;
	perf_free(perf);
	errno = -error;
	return NULL;
}

int perf_read(struct perf *perf)
{
	for (int cpu = 0; cpu < perf->cpus; cpu++) {
		struct perf_cpu *of = &perf->of[cpu];
		int error = of->buffer ? perf_buffer__consume(of->buffer) : 0;
		__u64 dropped = __atomic_load_n(&perf->counters[cpu].dropped,
						__ATOMIC_ACQUIRE);

		/* A full buffer has something to read; what is dropped beside an empty one found none. */
		if (error >= 0 && dropped != of->dropped && of->read == of->before)
			error = make_again(perf, cpu);
		if (error < 0)
			return error;
		of->dropped = dropped;
		of->before = of->read;
	}
	return perf->failed ? -EBADMSG : 0;
}

int perf_wait(struct perf *perf)
{
	struct epoll_event event;

	return epoll_wait(perf->epoll, &event, 1, WAIT_MS) < 0 ? -errno : 0;
}

void perf_free(struct perf *perf)
{
	if (!perf)
		return;
	for (int cpu = 0; cpu < perf->cpus; cpu++)
		perf_buffer__free(perf->of[cpu].buffer);
	if (perf->epoll >= 0)
		close(perf->epoll);
	free(perf);
}
