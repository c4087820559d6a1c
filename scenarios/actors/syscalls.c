// SPDX-License-Identifier: Apache-2.0
/*
 * Makes the system calls that a file asks for, a line each, and prints as JSON
 * what the kernel returned:
 * {"calls": [{"result": N, "pid": N, "status": N}, ...]}
 * They are made by a child, which makes no others of its own: it only forks,
 * and waits, for the calls that want it.
 *
 * A line: NUMBER HOW ARGUMENT... HOW is "-", or letters:
 *   c  as a 32-bit call, by int $0x80 (amd64; NUMBER is i386's)
 *   k  in a child of its own: "pid" is the child's, "status" its end as wait(2)
 *      has it, "result" null when the call did not return
 *   d  in a child that has dropped its capabilities
 *   f  the call makes a child, which ends at once with status 7
 * An argument:
 *   i:N     a number         s:HEX  a string        b:HEX  bytes
 *   z:N     N zero bytes     v:HEX,HEX,...  a list of strings, as argv
 *   n       NULL             u      memory that cannot be read
 *   r:K     what call K returned     @K.A   the memory of argument A of call K
 *   x:O_...,N,...   flags, by name where architectures have different numbers
 *   pid     this process
 * All memory has been written to: it is resident; on amd64 it lies below 2 GiB,
 * where a 32-bit call can point to. Lines are counted from 0, and so are arguments.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_CALLS 256
#define ARGUMENTS 6
#ifdef MAP_32BIT
#define LOW MAP_32BIT
#else
#define LOW 0
#endif
#define ARENA_SIZE (8UL << 20)
#define STATUS 7

struct call {
	long number;
	int compat, child, drops, forks;
	unsigned long args[ARGUMENTS];
	int returned, status;
	long result;
	pid_t pid;
};

static struct call *calls;
static char *next, *end, *unreadable;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void refuse(const char *what, const char *word)
{
	fprintf(stderr, "syscalls: %s: %.64s\n", what, word);
	exit(1);
}

/*
 * Inlined, so that a vfork's child, which has its parent's stack, returns from
 * nothing.
 */
static inline __attribute__((always_inline)) long raw(long number, const unsigned long a[ARGUMENTS])
{
#if defined(__x86_64__)
	register unsigned long r10 asm("r10") = a[3];
	register unsigned long r8 asm("r8") = a[4];
	register unsigned long r9 asm("r9") = a[5];
	long result = number;

	asm volatile("syscall"
		     : "+a"(result)
		     : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 asm("x8") = number;
	register unsigned long x0 asm("x0") = a[0];
	register unsigned long x1 asm("x1") = a[1];
	register unsigned long x2 asm("x2") = a[2];
	register unsigned long x3 asm("x3") = a[3];
	register unsigned long x4 asm("x4") = a[4];
	register unsigned long x5 asm("x5") = a[5];

	asm volatile("svc #0"
		     : "+r"(x0)
		     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
		     : "memory");
	return (long)x0;
#elif defined(__riscv)
	register long a7 asm("a7") = number;
	register unsigned long a0 asm("a0") = a[0];
	register unsigned long a1 asm("a1") = a[1];
	register unsigned long a2 asm("a2") = a[2];
	register unsigned long a3 asm("a3") = a[3];
	register unsigned long a4 asm("a4") = a[4];
	register unsigned long a5 asm("a5") = a[5];

	asm volatile("ecall"
		     : "+r"(a0)
		     : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
		     : "memory");
	return (long)a0;
#else
#error "no system call for this architecture"
#endif
}

#ifdef __x86_64__
long int80(long number, const unsigned long *args);

/* ebp is the sixth argument; older kernels leave nothing in r8 to r11. */
asm(".text\n"
    ".globl int80\n"
    "int80:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	mov %rdi, %rax\n"
    "	mov 0(%rsi), %rbx\n"
    "	mov 8(%rsi), %rcx\n"
    "	mov 16(%rsi), %rdx\n"
    "	mov 32(%rsi), %rdi\n"
    "	mov 40(%rsi), %rbp\n"
    "	mov 24(%rsi), %rsi\n"
    "	int $0x80\n"
    "	cltq\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n");
#else
static long int80(long number, const unsigned long *args)
{
	(void)number, (void)args;
	refuse("there is no int $0x80 here", "c");
	return -1;
}
#endif

static void *take(size_t size)
{
	char *place = next;

	if (size > (size_t)(end - next))
		refuse("the arguments are too long", "");
	/* Each in its own alignment: structures are among them. */
	next += (size + 15) & ~(size_t)15;
	return place;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	refuse("no hexadecimal digit", &c);
	return 0;
}

/* HEX up to `stop`, and a NUL behind it. */
static void *hex(const char *word, const char *stop)
{
	size_t length = (size_t)(stop - word) / 2, i;
	char *bytes = take(length + 1);

	for (i = 0; i < length; i++)
		bytes[i] = (char)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
	bytes[length] = '\0';
	return bytes;
}

static void *list(const char *word, int compat)
{
	size_t count = *word != '\0', size = compat ? 4 : 8, i;
	const char *at;
	char *made;

	for (at = word; *at; at++)
		count += *at == ',';
	made = take((count + 1) * size);
	memset(made, 0, (count + 1) * size);
	for (i = 0, at = word; i < count; i++) {
		size_t length = strcspn(at, ",");
		uint64_t value = (uintptr_t)hex(at, at + length);

		memcpy(made + i * size, &value, size); /* little-endian, all of them */
		at += length + 1;
	}
	return made;
}

static const struct call *earlier(const char *word, int index, char **rest)
{
	long number = strtol(word, rest, 10);

	if (number < 0 || number >= index)
		refuse("no earlier call", word);
	return &calls[number];
}

static unsigned long flags(const char *word)
{
	static const struct {
		const char *name;
		unsigned long value;
	} known[] = {
		{ "O_DIRECTORY", O_DIRECTORY },
		{ "O_NOFOLLOW", O_NOFOLLOW },
		{ "O_TMPFILE", O_TMPFILE },
	};
	unsigned long value = 0;
	size_t length, i;

	for (; *word; word += length + (word[length] == ',')) {
		length = strcspn(word, ",");
		for (i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (strlen(known[i].name) == length && !strncmp(known[i].name, word, length))
				break;
		if (i < sizeof(known) / sizeof(*known))
			value |= known[i].value;
		else
			value |= strtoul(word, NULL, 0);
	}
	return value;
}

static unsigned long argument(const char *word, int index, int compat)
{
	const struct call *other;
	char *rest;

	if (!strcmp(word, "n"))
		return 0;
	if (!strcmp(word, "u"))
		return (unsigned long)unreadable;
	if (!strcmp(word, "pid"))
		return (unsigned long)getpid();
	if (*word == '@') {
		other = earlier(word + 1, index, &rest);
		if (rest[0] != '.' || rest[1] < '0' || rest[1] >= '0' + ARGUMENTS)
			refuse("no argument", word);
		return other->args[rest[1] - '0'];
	}
	if (word[0] == '\0' || word[1] != ':')
		refuse("no argument", word);
	switch (word[0]) {
	case 'i':
		/* Also above LONG_MAX; strtoul takes a sign. */
		return strtoul(word + 2, NULL, 0);
	case 'x':
		return flags(word + 2);
	case 'r':
		return (unsigned long)earlier(word + 2, index, &rest)->result;
	case 's':
	case 'b':
		return (unsigned long)hex(word + 2, word + strlen(word));
	case 'z':
		return (unsigned long)memset(take(strtoul(word + 2, NULL, 0)), 0, strtoul(word + 2, NULL, 0));
	case 'v':
		return (unsigned long)list(word + 2, compat);
	}
	refuse("no kind of argument", word);
	return 0;
}

static void parse(char *line, int index)
{
	struct call *call = &calls[index];
	char *word, *left = line;
	int count = 0;

	word = strsep(&left, " ");
	call->number = strtol(word, NULL, 10);
	word = strsep(&left, " ");
	if (word == NULL)
		refuse("a line without its how", line);
	call->compat = strchr(word, 'c') != NULL;
	call->drops = strchr(word, 'd') != NULL;
	call->child = call->drops || strchr(word, 'k') != NULL;
	call->forks = strchr(word, 'f') != NULL;
	while ((word = strsep(&left, " ")) != NULL) {
		if (count == ARGUMENTS)
			refuse("too many arguments", word);
		call->args[count++] = argument(word, index, call->compat);
	}
}

static void make(struct call *call)
{
	static const unsigned long status[ARGUMENTS] = { STATUS };
	long result;

	result = call->compat ? int80(call->number, call->args) : raw(call->number, call->args);
	if (call->forks && result == 0)
		raw(SYS_exit_group, status);
	call->result = result;
	call->returned = 1;
	if (call->forks && result > 0 && waitpid((pid_t)result, &call->status, __WALL) < 0)
		die("waitpid");
}

static void drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};

	if (syscall(SYS_capset, &header, none) < 0)
		die("capset");
}

static void make_in_child(struct call *call)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		if (call->drops)
			drop();
		make(call);
		_exit(0);
	}
	call->pid = child;
	if (waitpid(child, &call->status, 0) != child)
		die("waitpid");
}

static void quiet(int signal)
{
	(void)signal;
}

/* Shared with children: what a call returned in one is written there. */
static void prepare(void)
{
	struct sigaction action = { .sa_handler = quiet };
	char *arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | LOW, -1, 0);

	if (arena == MAP_FAILED)
		die("mmap");
	unreadable = arena + ARENA_SIZE - 65536;
	if (mprotect(unreadable, 65536, PROT_NONE) < 0)
		die("mprotect");
	next = arena;
	end = unreadable;
	calls = take(MOST_CALLS * sizeof(*calls));
	if (sigaction(SIGUSR2, &action, NULL) < 0)
		die("sigaction");
}

static char *contents(const char *path)
{
	struct stat about;
	char *text;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (file < 0 || fstat(file, &about) < 0)
		die(path);
	text = malloc((size_t)about.st_size + 1);
	if (text == NULL)
		die("malloc");
	got = read(file, text, (size_t)about.st_size);
	if (got != about.st_size)
		die("read");
	text[got] = '\0';
	close(file);
	return text;
}

/* All lines of the script; in the child. How many there were is in *count. */
static void work(char *text, int *count)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		if (*count == MOST_CALLS)
			refuse("too many calls", line);
		calls[*count].pid = getpid();
		/* Just before it is made: it may want what an earlier one returned. */
		parse(line, *count);
		if (calls[*count].child)
			make_in_child(&calls[*count]);
		else
			make(&calls[*count]);
		++*count;
	}
}

int main(int argc, char **argv)
{
	int *count, i, status;
	char *text;
	pid_t worker;

	if (argc != 2)
		refuse("it takes one argument", "FILE");
	prepare();
	count = take(sizeof(*count));
	text = contents(argv[1]);
	worker = fork();
	if (worker < 0)
		die("fork");
	if (worker == 0) {
		work(text, count);
		_exit(0);
	}
	if (waitpid(worker, &status, 0) != worker)
		die("waitpid");
	if (status != 0) {
		fprintf(stderr, "syscalls: the worker ended with %d\n", status);
		return 1;
	}
	printf("{\"calls\": [");
	for (i = 0; i < *count; i++) {
		printf("%s{\"result\": ", i ? ", " : "");
		if (calls[i].returned)
			printf("%ld", calls[i].result);
		else
			printf("null");
		printf(", \"pid\": %d, \"status\": %d}", (int)calls[i].pid, calls[i].status);
	}
	printf("]}\n");
	if (fflush(stdout) != 0)
		die("stdout");
	return 0;
}
