// SPDX-License-Identifier: Apache-2.0
/*
 * Makes system calls while somebody else changes the argument from one name (or
 * port) to another and back, and finds out each time what the kernel acted on:
 *
 *	racer WAY ABI COUNT CALL...
 *
 * WAY is one of race_ways.h's, ABI 64 or 32. Each CALL is made COUNT times by a
 * process of its own, which makes this call for no other purpose. Printed as
 * JSON: {"calls": [{"call", "trials": [["a", "b", "b", PID, RESULT], ...]}]}:
 * what the argument said just before the call, what the kernel acted on, and
 * what the argument said just after it. "a" and "b" are the two names of race.h,
 * or the two ports; "?" is neither.
 */
#include "race_ways.h"
#include <sys/prctl.h>
#include <sys/sendfile.h>

static void remove_all(void)
{
	static const char *const names[] = { A_NAME, B_NAME, MADE };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		umount2(names[i], MNT_DETACH);
		unlink(names[i]);
		rmdir(names[i]);
	}
}

static void copy_own_program(const char *name)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to;
	struct stat found;

	to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (from < 0 || to < 0 || fstat(from, &found) < 0 || sendfile(to, from, NULL, found.st_size) != found.st_size)
		die(name);
	close(from);
	close(to);
}

static struct sockaddr_in at_port(int b)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(PORT + b)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return address;
}

/* A silent peer has no room for a connection, and accepts none. */
static void listen_at(int b, int type, int silent)
{
	struct sockaddr_in address = at_port(b);
	int filler;

	kept[b] = socket(AF_INET, type | SOCK_CLOEXEC | (silent ? 0 : SOCK_NONBLOCK), 0);
	if (kept[b] < 0 || bind(kept[b], (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	if (type != SOCK_STREAM)
		return;
	if (listen(kept[b], silent ? 0 : 64) < 0)
		die("listen");
	if (!silent)
		return;
	filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (filler < 0 || connect(filler, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
}

static void make_objects(const struct raced *call, enum way way)
{
	struct stat found;
	int b;

	remove_all();
	for (b = 0; b < 2; b++) {
		const char *name = name_of(b);

		if (call->object == PROGRAMS)
			copy_own_program(name);
		else if (call->object == FILES && way == BLOCKED) {
			if (mknod(name, S_IFIFO | 0600, 0) < 0)
				die(name);
		} else if (call->object == FILES || call->object == FOLDERS)
			make_object(call->object, b);
		else if (call->object == STREAMS || call->object == DATAGRAMS)
			listen_at(b, call->object == STREAMS ? SOCK_STREAM : SOCK_DGRAM, way == BLOCKED);
		if (call->object == FILES && way != BLOCKED)
			kept[b] = open(name, O_RDONLY | O_CLOEXEC);
		inodes[b] = call->object < UNUSED && stat(name, &found) == 0 ? found.st_ino : 0;
	}
	if (stat(FOLDER, &found) < 0)
		die(FOLDER);
	around = found.st_dev;
}

static void forget_objects(void)
{
	int b;

	for (b = 0; b < 2; b++) {
		if (kept[b] >= 0)
			close(kept[b]);
		kept[b] = -1;
	}
	remove_all();
}

/* The argument as it is at first: it says "a". */
static void write_argument(const struct raced *call)
{
	const long by_alias = argument(call) - (long)BUFFER + (long)ALIAS;
	struct sockaddr_in address = at_port(0);

	memset((void *)ALIAS, 0, 3 * PAGE);
	memset(MEET, 0, sizeof(*MEET));
	MEET->listener = -1;
	if (call->object >= STREAMS) {
		memcpy((void *)by_alias, &address, sizeof(address));
		MEET->byte = (unsigned char *)by_alias + 3;
	} else {
		strcpy((char *)by_alias, A_NAME);
		MEET->byte = (unsigned char *)by_alias + LETTER;
	}
	strcpy(AUXILIARY->made, MADE);
	strcpy(AUXILIARY->none, "none");
	strcpy(AUXILIARY->type, "tmpfs");
	strcpy(AUXILIARY->text, "x");
	strcpy(AUXILIARY->word, "who");
	AUXILIARY->words32[0] = (uint32_t)(unsigned long)AUXILIARY->word;
	AUXILIARY->words64[0] = (unsigned long)AUXILIARY->word;
}

static void map_memory(void)
{
	int fd = (int)syscall(SYS_memfd_create, "race", 1 /* MFD_CLOEXEC */);
	const unsigned long places[] = { BUFFER, ALIAS };
	const unsigned long size = PAGES * PAGE + sizeof(struct meeting);
	unsigned int i;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die("memfd_create");
	for (i = 0; i < 2; i++) {
		if (mmap((void *)places[i], size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) !=
		    (void *)places[i])
			die("mmap");
	}
	close(fd);
}

static void execute(const struct raced *call, const long *a, struct trial *trial)
{
	pid_t child;
	int status;

	child = vfork();
	if (child < 0)
		die("vfork");
	if (child == 0) {
		trial->result = make(call, a, trial);
		_exit(2);
	}
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	trial->pid = child;
	trial->after = letter_now();
	trial->acted = '?';
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 'a' || WEXITSTATUS(status) == 'b')) {
		trial->acted = (char)WEXITSTATUS(status);
		trial->result = 0;
	}
}

static void try_once(const struct raced *call, enum way way, int number)
{
	struct trial *trial = &MEET->trials[number];
	long a[6];

	if (call->object == STREAMS || call->object == UNUSED)
		sender = socket(AF_INET, (call->object == STREAMS ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	get_arguments(call, a);
	if (way >= FAULT) {
		/* In no order that a report of the call before would have too. */
		ask_for("abbabaab"[number & 7]);
	}
	if (way == COLD && madvise((void *)BUFFER, 2 * PAGE, MADV_DONTNEED) < 0)
		die("madvise");
	if (way == FAULT && madvise((void *)(BUFFER + PAGE), PAGE, MADV_DONTNEED) < 0)
		die("madvise");
	/* From here to the call no other one is made. */
	trial->pid = getpid();
	MEET->stage = number + 1;
	if (call->object == PROGRAMS) {
		execute(call, a, trial);
	} else {
		trial->result = make(call, a, trial);
		trial->after = letter_now();
	}
	MEET->stage = 0;
	/* Until nobody is at the other end any more: the next call would not block. */
	while (way == BLOCKED && MEET->ready != number + 1)
		pause_a_moment();
	if (call->object != PROGRAMS)
		trial->acted = judge(call, trial->result);
	if (call->object == STREAMS || call->object == UNUSED)
		close(sender);
	if (call->object == STREAMS && way != BLOCKED)
		take();
}

/* The process that makes the calls; nothing else in it makes this call. */
static void call_all(const struct raced *call, enum way way, int count)
{
	void *(*const bodies[])(void *) = { race, race, race, serve_faults, serve_notices };
	pthread_t racer;
	int number;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0);
	if (call->object == DATAGRAMS)
		sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Here it is not in memory yet. */
	(void)*(volatile char *)argument(call);
	(void)*(volatile char *)(BUFFER + PAGE);
	if (way == FAULT)
		watch_second_page();
	if (way == STORM && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0)
		die("membarrier");
	if (way < BLOCKED) {
		if (pthread_create(&racer, NULL, bodies[way], way == STORM ? own : NULL) != 0)
			die("pthread_create");
		while (!MEET->ready)
			pause_a_moment();
	}
	if (way == SECCOMP)
		install_filter(call);
	if (way == PTRACED && (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 || raise(SIGSTOP) != 0))
		die("PTRACE_TRACEME");
	for (number = 0; number < count; number++)
		try_once(call, way, number);
	MEET->stop = 1;
	_exit(0);
}

static void tell(const struct raced *call, int count, int first)
{
	int number;

	printf("%s{\"call\": \"%s\", \"trials\": [", first ? "" : ", ", call->name);
	for (number = 0; number < count; number++) {
		const struct trial *trial = &MEET->trials[number];

		printf("%s[\"%c\", \"%c\", \"%c\", %d, %ld]", number ? ", " : "", trial->before, trial->acted,
		       trial->after, trial->pid, trial->result);
	}
	printf("]}");
}

static void run(const struct raced *call, enum way way, int count)
{
	pid_t caller;
	int status;

	make_objects(call, way);
	write_argument(call);
	caller = fork();
	if (caller < 0)
		die("fork");
	if (caller == 0)
		call_all(call, way, count);
	if (way == BLOCKED)
		flip_while_blocked(call, caller, count);
	if (way == PTRACED)
		status = flip_at_entries(caller);
	else if (waitpid(caller, &status, 0) != caller)
		die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "racer: the process that calls %s ended with %x\n", call->name, status);
		exit(1);
	}
	forget_objects();
}

static const struct raced *find_call(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	}
	fprintf(stderr, "racer: no call %s\n", name);
	exit(2);
}

static enum way find_way(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!strcmp(ways[i], name))
			return (enum way)i;
	}
	fprintf(stderr, "racer: no way %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	enum way way;
	int count, i, told = 0;

	if (argc == 1 && !strcmp(argv[0], "who"))
		return tell_who();
	if (argc < 5) {
		fprintf(stderr, "usage: racer WAY 64|32 COUNT CALL...\n");
		return 2;
	}
	own = argv[0];
	way = find_way(argv[1]);
	by_luck = way < FAULT;
	compat_calls = !strcmp(argv[2], "32");
	count = atoi(argv[3]);
	if (count < 1 || count > MOST) {
		fprintf(stderr, "racer: 1 to %d times\n", MOST);
		return 2;
	}
	if (way == FAULT)
		address_length = LONG_ADDRESS;
	umask(0);
	if ((mkdir("/work", 0755) < 0 && errno != EEXIST) || (mkdir(FOLDER, 0700) < 0 && errno != EEXIST))
		die(FOLDER);
	map_memory();
	printf("{\"calls\": [");
	for (i = 4; i < argc; i++) {
		const struct raced *call = find_call(argv[i]);

		/* Not every architecture has every call. */
		if (call->number < 0)
			continue;
		fflush(stdout);
		run(call, way, count);
		tell(call, count, !told++);
	}
	printf("]}\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
