// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two BPF probes: loaded from an object file, attached, and read from a
 * ring buffer (modern) or from perf buffers, one for each CPU (legacy). Which
 * of them it is, the object itself says by the map that it writes to.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "perf.h"
#include "reader.h"

#define TAIL_PREFIX "tap_tail_"
#define SAID 16384

/*
 * How a probe gets to the kernel's tracepoints, and into its functions: by those
 * of its programs whose names begin so. Others that are named after a kind are
 * not loaded; what is named after none always is.
 */
struct way {
	const char *points, *hooks;
};

static const char *const kinds[] = {
	"tap_typed_", "tap_perf_", "tap_fentry_", "tap_kprobe_",
};
static const struct way trampolines = { "tap_typed_", "tap_fentry_" };
static const struct way kprobes = { "tap_typed_", "tap_kprobe_" };
static const struct way perf = { "tap_perf_", "tap_kprobe_" };

struct bpf {
	struct source source;
	struct bpf_object *object;
	struct bpf_link *links[64];
	int linked;
	const struct tap_counts *counters;	/* of each CPU, in the probe's memory */
	size_t counters_size;
	bool failed;
	struct ring_buffer *ring;
	struct perf *perf;
};

/* What libbpf said last: the verifier's reason is in it. */
static char said[SAID];

static int note(enum libbpf_print_level level, const char *format, va_list words)
{
	size_t used = strlen(said);

	if (level == LIBBPF_DEBUG)
		return 0;
	/* Of a long log the end is what matters. */
	if (used > SAID / 2) {
		memmove(said, said + used - SAID / 4, SAID / 4 + 1);
		used = SAID / 4;
	}
	return vsnprintf(said + used, SAID - used, format, words);
}

static int on_ring(void *bpf, void *data, size_t size)
{
	if (!deliver(data, size))
		((struct bpf *)bpf)->failed = true;
	return 0;
}

static int bpf_read(struct source *source)
{
	struct bpf *bpf = (struct bpf *)source;
	int error = bpf->perf ? perf_read(bpf->perf) : ring_buffer__consume(bpf->ring);

	return bpf->failed ? -EBADMSG : error;
}

static int bpf_wait(struct source *source)
{
	struct bpf *bpf = (struct bpf *)source;
	int error = bpf->perf ? perf_wait(bpf->perf) : ring_buffer__poll(bpf->ring, WAIT_MS);

	return bpf->failed ? -EBADMSG : error;
}

static int bpf_counts(struct source *source, struct tap_counts *counts)
{
	const struct tap_counts *now = ((struct bpf *)source)->counters;

	/* An event is offered before it is dropped: so drops are looked at first. */
	for (int cpu = 0; cpu < source->cpus; cpu++) {
		counts[cpu].dropped = __atomic_load_n(&now[cpu].dropped, __ATOMIC_ACQUIRE);
		counts[cpu].offered = __atomic_load_n(&now[cpu].offered, __ATOMIC_ACQUIRE);
	}
	return 0;
}

/* Runs that the kernel left out: see README.md. */
static __u64 bpf_missed(struct source *source)
{
	struct bpf *bpf = (struct bpf *)source;
	struct bpf_program *program;
	__u64 sum = 0;

	bpf_object__for_each_program(program, bpf->object) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			sum += info.recursion_misses;
	}
	return sum;
}

static void bpf_stop(struct source *source)
{
	struct bpf *bpf = (struct bpf *)source;

	while (bpf->linked)
		bpf_link__destroy(bpf->links[--bpf->linked]);
}

static void bpf_end(struct source *source)
{
	struct bpf *bpf = (struct bpf *)source;

	bpf_stop(source);
	ring_buffer__free(bpf->ring);
	perf_free(bpf->perf);
	if (bpf->counters)
		munmap((void *)bpf->counters, bpf->counters_size);
	bpf_object__close(bpf->object);
	free(bpf);
}

static bool is(const struct bpf_program *program, const char *kind)
{
	return !strncmp(bpf_program__name(program), kind, strlen(kind));
}

static bool is_wanted(const struct bpf_program *program, const struct way *way)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (is(program, kinds[i]))
			return is(program, way->points) || is(program, way->hooks);
	}
	return true;
}

/* Whether the kernel has a function of that name; it may lack it or inline it. */
static bool has_function(const char *name)
{
	char line[512], found[256];
	FILE *symbols = fopen("/proc/kallsyms", "re");
	bool has = false;

	while (symbols && !has && fgets(line, sizeof(line), symbols))
		has = sscanf(line, "%*s %*s %255s", found) == 1 && !strcmp(found, name);
	if (symbols)
		fclose(symbols);
	return has;
}

/*
 * Set what the reader decides before the probe is loaded: who it is, and which
 * way the probe takes; -ENOENT if it has no hooks of that kind.
 */
static int configure(struct bpf *bpf, const struct way *way)
{
	struct bpf_program *program;
	const struct tap_version *version;
	struct bpf_map *map;
	bool any = false;
	__u32 *reader;
	size_t size;

	map = bpf_object__find_map_by_name(bpf->object, ".rodata.version");
	version = map ? bpf_map__initial_value(map, &size) : NULL;
	if (!version || size < sizeof(*version) || !version_fits(version))
		return -EPROTO;
	map = bpf_object__find_map_by_name(bpf->object, ".rodata.config");
	reader = map ? bpf_map__initial_value(map, &size) : NULL;
	if (!reader || size < sizeof(*reader))
		return -EPROTO;
	*reader = getpid();
	bpf_object__for_each_program(program, bpf->object) {
		const char *function = strchr(bpf_program__section_name(program), '/') + 1;
		bool hook = is(program, way->hooks);

		any = any || hook;
		if (!is_wanted(program, way) || (hook && !has_function(function)))
			bpf_program__set_autoload(program, false);
	}
	return any ? 0 : -ENOENT;
}

/* What the loaded maps must hold: free slots, and the programs of tail calls. */
static int fill(struct bpf *bpf)
{
	int free_slots = bpf_object__find_map_fd_by_name(bpf->object, "tap_free");
	int tails = bpf_object__find_map_fd_by_name(bpf->object, "tap_tails");
	struct bpf_program *program;

	for (__u32 number = 0; number < TAP_SLOTS; number++) {
		if (bpf_map_update_elem(free_slots, NULL, &number, BPF_ANY))
			return -errno;
	}
	bpf_object__for_each_program(program, bpf->object) {
		const char *name = bpf_program__name(program);
		__u32 index, to;

		if (tails < 0 || !is(program, TAIL_PREFIX))
			continue;
		index = strtoul(name + strlen(TAIL_PREFIX), NULL, 10);
		to = bpf_program__fd(program);
		if (bpf_map_update_elem(tails, &index, &to, BPF_ANY))
			return -errno;
	}
	return 0;
}

/*
 * On riscv64 a function begins with the two instructions that ftrace may patch,
 * where no kprobe may lie; behind them the arguments are still where they were.
 */
static struct bpf_link *attach_one(struct bpf_program *program)
{
	const char *section = bpf_program__section_name(program);
	int error = strncmp(section, "tp/", 3) ? 0 : tracefs_demand();
	struct bpf_link *link;
#if defined(__riscv)
	LIBBPF_OPTS(bpf_kprobe_opts, behind, .offset = 8);
#endif

	if (error) {
		errno = -error;
		return NULL;
	}
	link = bpf_program__attach(program);
#if defined(__riscv)
	if (!link && errno == EINVAL && !strncmp(section, "kprobe/", 7))
		link = bpf_program__attach_kprobe_opts(program, section + 7, &behind);
#endif
	return link;
}

static bool is_entry(const struct bpf_program *program)
{
	return strstr(bpf_program__section_name(program), "sys_enter");
}

/* The programs at the entry of calls, or all others. */
static int attach_some(struct bpf *bpf, bool entries)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, bpf->object) {
		struct bpf_link *link;

		if (!bpf_program__autoload(program) || is(program, TAIL_PREFIX) ||
		    is_entry(program) != entries)
			continue;
		if (bpf->linked == sizeof(bpf->links) / sizeof(*bpf->links))
			return -E2BIG;
		link = attach_one(program);
		if (!link)
			return -errno;
		bpf->links[bpf->linked++] = link;
	}
	return 0;
}

/*
 * Entries last: what is kept of a call is given back at its exit, or at the end
 * of its task, and one that comes to either before that is looked at leaves it
 * behind for whoever gets its address.
 */
static int attach(struct bpf *bpf)
{
	int error = attach_some(bpf, false);

	return error ? error : attach_some(bpf, true);
}

static int buffers(struct bpf *bpf)
{
	struct bpf_map *map = bpf_object__find_map_by_name(bpf->object, "tap_ring");

	if (!map)
		return -EPROTO;
	if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
		bpf->ring = ring_buffer__new(bpf_map__fd(map), on_ring, bpf, NULL);
	else
		bpf->perf = perf_new(bpf_map__fd(map), bpf->source.cpus, bpf->counters);
	return bpf->ring || bpf->perf ? 0 : -errno;
}

static int map_counters(struct bpf *bpf)
{
	struct bpf_map *map = bpf_object__find_map_by_name(bpf->object, ".bss.counters");
	void *mapped;

	if (!map)
		return -EPROTO;
	bpf->source.cpus = libbpf_num_possible_cpus();
	bpf->counters_size = bpf_map__value_size(map);
	if (bpf->source.cpus < 1 ||
	    bpf->source.cpus * sizeof(*bpf->counters) > bpf->counters_size)
		return -EPROTO;
	mapped = mmap(NULL, bpf->counters_size, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);
	if (mapped == MAP_FAILED)
		return -errno;
	bpf->counters = mapped;
	return 0;
}

static int bpf_begin(struct bpf *bpf, const char *path, const struct way *way)
{
	int error;

	bpf->object = bpf_object__open_file(path, NULL);
	if (!bpf->object)
		return -errno;
	error = configure(bpf, way);
	if (!error)
		error = bpf_object__load(bpf->object);
	if (!error)
		error = map_counters(bpf);
	if (!error)
		error = fill(bpf);
	if (!error)
		error = buffers(bpf);
	return error ? error : attach(bpf);
}

static struct bpf *try_open(const char *path, const struct way *way, int *error)
{
	struct bpf *bpf = calloc(1, sizeof(*bpf));

	*error = -ENOMEM;
	if (!bpf)
		return NULL;
	bpf->source = (struct source){
		.read = bpf_read, .wait = bpf_wait, .counts = bpf_counts,
		.missed = bpf_missed, .stop = bpf_stop, .close = bpf_end,
	};
	*error = bpf_begin(bpf, path, way);
	if (!*error)
		return bpf;
	bpf_end(&bpf->source);
	return NULL;
}

/*
 * A program that is preempted is left out for other tasks. On a tracepoint that
 * happens from 7.0 on, in a trampoline with PREEMPT_RT too.
 */
static const struct way *way_of(const struct utsname *kernel)
{
	if (strtoul(kernel->release, NULL, 10) >= 7)
		return &perf;
	return strstr(kernel->version, "PREEMPT_RT") ? &kprobes : &trampolines;
}

struct source *bpf_open_object(const char *path)
{
	const struct way *way;
	struct utsname kernel;
	struct bpf *bpf;
	int error;

	libbpf_set_print(note);
	uname(&kernel);
	way = way_of(&kernel);
	bpf = try_open(path, way, &error);
	if (!bpf && way == &trampolines && error != -EPROTO)
		bpf = try_open(path, &kprobes, &error);
	if (!bpf) {
		fprintf(stderr, "tap-reader: %s: %s\n%s", path, strerror(-error), said);
		return NULL;
	}
	return &bpf->source;
}
