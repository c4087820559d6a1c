// SPDX-License-Identifier: GPL-2.0-only
/*
 * tap's reader: loads or opens a driver, prints each event as a line of JSON
 * on standard output, and on SIGUSR1, and at its end, a line of counters on
 * standard error: offered = delivered + dropped + waiting, where waiting is
 * what still lies in a ring that is filled faster than it is read.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "reader.h"

#define SETTLE_NS 1000000000ull

static volatile sig_atomic_t asked, ended;
static __u64 delivered[MOST_CPUS];
static __u64 malformed;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		ended = 1;
}

static __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

bool version_fits(const struct tap_version *driver)
{
	static const struct tap_version mine = {
		TAP_API_MAJOR, TAP_API_MINOR, TAP_SCHEMA_MAJOR, TAP_SCHEMA_MINOR,
	};

	if (driver->api_major == mine.api_major &&
	    driver->api_minor >= mine.api_minor &&
	    driver->schema_major == mine.schema_major &&
	    driver->schema_minor >= mine.schema_minor)
		return true;
	fprintf(stderr,
		"tap-reader: the driver has API %u.%u and schema %u.%u, this reader needs %u.%u and %u.%u (the same major number, at least that minor one)\n",
		driver->api_major, driver->api_minor, driver->schema_major,
		driver->schema_minor, mine.api_major, mine.api_minor,
		mine.schema_major, mine.schema_minor);
	return false;
}

bool deliver(const void *data, size_t size)
{
	const struct tap_event *event = data;

	/* perf pads what it hands out. */
	if (size < sizeof(*event) || event->len < sizeof(*event) ||
	    event->len > size || event->cpu >= MOST_CPUS) {
		malformed++;
		return false;
	}
	delivered[event->cpu]++;
	print_event(event, (const __u8 *)(event + 1),
		    event->len - sizeof(*event));
	return true;
}

/*
 * Print the counters of a moment: each CPU's, when all that it had offered has
 * been delivered or dropped; if that moment does not come, what is waiting.
 */
static int report(struct source *source)
{
	static struct tap_counts counts[MOST_CPUS], taken[MOST_CPUS];
	static __u64 read[MOST_CPUS];
	static bool done[MOST_CPUS];
	__u64 offered = 0, dropped = 0, sum = 0, until = now() + SETTLE_NS;
	int left = source->cpus, error;

	memset(done, 0, sizeof(done));
	while (left) {
		error = source->read(source);
		if (error < 0)
			return error;
		error = source->counts(source, counts);
		if (error < 0)
			return error;
		for (int cpu = 0; cpu < source->cpus; cpu++) {
			bool settled = counts[cpu].offered ==
				delivered[cpu] + counts[cpu].dropped;

			if (done[cpu] || (!settled && now() < until))
				continue;
			taken[cpu] = counts[cpu];
			read[cpu] = delivered[cpu];
			done[cpu] = true;
			left--;
		}
	}
	for (int cpu = 0; cpu < source->cpus; cpu++) {
		offered += taken[cpu].offered;
		dropped += taken[cpu].dropped;
		sum += read[cpu];
	}
	error = json_flush();
	fprintf(stderr,
		"{\"offered\": %llu, \"delivered\": %llu, \"dropped\": %llu, \"waiting\": %lld, \"missed\": %llu, \"malformed\": %llu}\n",
		offered, sum, dropped, (long long)(offered - sum - dropped),
		source->missed(source), malformed);
	return error;
}

static int run(struct source *source)
{
	int error = 0;

	while (!ended && error >= 0) {
		if (asked) {
			asked = 0;
			error = report(source);
			continue;
		}
		error = source->read(source);
		if (error >= 0)
			error = json_flush();
		if (error >= 0)
			error = source->wait(source);
		if (error == -EINTR)
			error = 0;
	}
	if (error < 0)
		return error;
	source->stop(source);
	return report(source);
}

int main(int count, char **words)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct source *source = NULL;
	int error;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (count == 3 && !strcmp(words[1], "--kmod"))
		source = kmod_open(words[2]);
	else if (count == 3 && !strcmp(words[1], "--bpf"))
		source = bpf_open_object(words[2]);
	else
		fprintf(stderr, "usage: %s --kmod DEVICE | --bpf OBJECT\n", words[0]);
	if (!source)
		return 2;
	error = run(source);
	source->close(source);
	if (error < 0) {
		fprintf(stderr, "tap-reader: %s\n", strerror(-error));
		return 1;
	}
	return 0;
}
