// SPDX-License-Identifier: Apache-2.0
/*
 * Runs commands in a guest for the host, several at a time, over one channel:
 * a virtio-serial port, or any stream socket that a test gives it.
 *
 * usage: lab-agent PATH|DESCRIPTOR
 *
 * Both directions carry frames, all numbers little-endian: a header (length of
 * what follows it, kind, number of the command) and at most 32760 bytes. The
 * agent begins with HELLO, which names its session, and then drops whatever
 * comes in until START names that session back: what was meant for an agent
 * before it, which was killed, is never taken for its own. Its frames are
 * written whole, because a port takes up to 32 KiB in one write or nothing.
 *
 * Nobody waits for anybody: a command's input is sent within a window that the
 * agent opens again (FED) as the command reads, and its output, headers and
 * all, within one that the host opens again (TAKEN). So the agent always reads,
 * and what it holds is bounded: COMMANDS x STDIN_WINDOW and two frames.
 *
 * A command has ended when its process has, and what lay in its pipes then has
 * been sent, and its pipes are closed; what a process that it left behind
 * keeps open delays the end by LINGER_MS, and what that prints later is lost.
 *
 * GREET starts a session anew: for a host that meets an agent which said its
 * HELLO to another (a machine restored from a saved one). Such a machine has
 * the clock, the random state and the names of the one that was saved; CLOCK
 * and the kinds behind it give it its own. Each is answered by DONE.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSION 2
#define FRAME_MAX 32768
#define COMMANDS 32
#define STDIN_WINDOW 65536
#define OUTPUT_WINDOW 262144
#define LINGER_MS 200
#define ANSWERS 16
#define ENTROPY_MAX 256
#define NAME_MAX_BYTES 64

enum kind {
	/* From the host. */
	START = 1,	/* the session, from HELLO */
	RUN,		/* struct run, then strings: cwd, argv, environment */
	STDIN,		/* bytes */
	STDIN_END,
	KILL,		/* the command and its process group, its output unread */
	TAKEN,		/* u32: bytes of output, and their headers, that were taken */
	GREET,
	CLOCK = 16,	/* u64: nanoseconds since the epoch */
	ENTROPY,	/* bytes, all of them random */
	HOST_NAME,	/* bytes, also for /etc/hostname */
	MACHINE_ID,	/* bytes, for /etc/machine-id */
	/* From the guest. */
	HELLO = 64,	/* struct hello */
	STARTED,	/* u32: pid */
	FAILED,		/* u32 errno, u32: 1 when the program itself would not run */
	STDOUT,		/* bytes */
	STDERR,		/* bytes */
	FED,		/* u32: bytes of input that the command has taken */
	EXIT,		/* u32: wait status */
	DONE,		/* struct answer */
};

struct header {
	uint32_t length;
	uint16_t kind;
	uint16_t number;
};

struct session {
	uint64_t nanoseconds;
	uint32_t pid;
	uint32_t count;
};

struct hello {
	char magic[4];
	uint16_t version;
	uint16_t commands;
	struct session session;
};

struct run {
	uint16_t argc;
	uint16_t envc;
	uint16_t umask;
	uint16_t zero;
};

struct failure {
	uint32_t error;
	uint32_t program;
};

struct answer {
	uint32_t kind;		/* of what was asked */
	uint32_t error;		/* errno, 0 when it was done */
};

struct command {
	int used;
	int forgotten;		/* of an earlier session: it ends in silence */
	uint16_t number;
	pid_t pid;		/* 0 when none was made */
	int report;		/* says that execve failed, closed by one that did not */
	int in;
	int out[2];		/* standard output and error */
	int owed[2];		/* bytes that lay in them when the process ended */
	int started;		/* STARTED is still to be sent */
	int exited;		/* the process has ended; it is reaped when its output is out */
	int64_t linger;		/* until when its pipes are waited for, in ms */
	struct failure failure;
	int no_more;		/* STDIN_END has come */
	uint32_t fed;		/* taken from `waiting` and not told yet */
	uint32_t window;	/* bytes of output that the host still takes */
	size_t first, count;	/* what of `waiting` is to be written */
	unsigned char waiting[STDIN_WINDOW];
};

static struct command commands[COMMANDS];
static unsigned char input[FRAME_MAX], output[FRAME_MAX];
static size_t input_size, output_size;
static int port;
static int synced, greet;
static struct answer answers[ANSWERS];
static size_t answer_count;
static struct session session;
static sigset_t undisturbed;
static volatile sig_atomic_t child_ended;

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void stop_io(struct command *command)
{
	close_fd(&command->in);
	close_fd(&command->out[0]);
	close_fd(&command->out[1]);
	command->owed[0] = command->owed[1] = 0;
	command->count = 0;
}

/*
 * Until it is reaped, its number is nobody else's. Its group bears that number
 * once it has called setsid(), before which it has no children.
 */
static void kill_command(struct command *command)
{
	if (command->pid > 0) {
		kill(-command->pid, SIGKILL);
		kill(command->pid, SIGKILL);
	}
	stop_io(command);
}

static void kill_all(void)
{
	struct command *command;

	for (command = commands; command < commands + COMMANDS; command++)
		if (command->used)
			kill_command(command);
}

/* Whoever asked for the commands hears of them no more: they end with us. */
static _Noreturn void leave(int status)
{
	kill_all();
	exit(status);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "lab-agent: %s\n", what);
	leave(1);
}

static _Noreturn void die_of_errno(const char *what)
{
	fprintf(stderr, "lab-agent: %s: %s\n", what, strerror(errno));
	leave(1);
}

static void note_child(int number)
{
	(void)number;
	child_ended = 1;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		die_of_errno("clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int64_t clock_ms(void)
{
	return (int64_t)(clock_ns() / 1000000);
}

/* Room for the bytes of one more frame. */
static size_t room(void)
{
	size_t left = sizeof(output) - output_size;

	return left > sizeof(struct header) ? left - sizeof(struct header) : 0;
}

static void put_header(enum kind kind, uint16_t number, size_t length)
{
	struct header header = {
		.length = htole32((uint32_t)length),
		.kind = htole16((uint16_t)kind),
		.number = htole16(number),
	};

	memcpy(output + output_size, &header, sizeof(header));
	output_size += sizeof(header) + length;
}

/* Put a small frame behind what is to be sent; 0 when it has to wait. */
static int say(enum kind kind, uint16_t number, const void *data, size_t length)
{
	if (room() < length)
		return 0;
	memcpy(output + output_size + sizeof(struct header), data, length);
	put_header(kind, number, length);
	return 1;
}

static int say_u32(enum kind kind, uint16_t number, uint32_t value)
{
	value = htole32(value);
	return say(kind, number, &value, sizeof(value));
}

static void flush_output(void)
{
	ssize_t sent;

	if (output_size == 0)
		return;
	sent = write(port, output, output_size);
	if (sent < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		die_of_errno("the host cannot be written to");
	}
	/* A port takes all or nothing; a socket may take a part. */
	memmove(output, output + sent, output_size - (size_t)sent);
	output_size -= (size_t)sent;
}

/* Begin a session: commands of the one before end unheard. */
static void start_session(void)
{
	struct command *command;

	kill_all();
	for (command = commands; command < commands + COMMANDS; command++)
		command->forgotten = 1;
	session.nanoseconds = htole64(clock_ns());
	session.pid = htole32((uint32_t)getpid());
	session.count = htole32(le32toh(session.count) + 1);
	synced = 0;
	greet = 1;
	answer_count = 0;
}

static struct command *find_command(uint16_t number)
{
	struct command *command;

	for (command = commands; command < commands + COMMANDS; command++)
		if (command->used && !command->forgotten && command->number == number)
			return command;
	return NULL;
}

static struct command *new_command(uint16_t number)
{
	struct command *command;

	if (find_command(number))
		die("the host used a number twice");
	for (command = commands; command < commands + COMMANDS; command++)
		if (!command->used)
			break;
	if (command == commands + COMMANDS)
		return NULL;
	memset(command, 0, offsetof(struct command, waiting));
	command->used = 1;
	command->number = number;
	command->report = command->in = command->out[0] = command->out[1] = -1;
	command->window = OUTPUT_WINDOW;
	return command;
}

/* In the child: never returns. */
static void become(char **argv, char **environment, const char *folder,
		   mode_t mask, const int ends[3], int report)
{
	struct failure failure = { 0, 0 };
	int number;

	for (number = 0; number < 3; number++)
		if (dup2(ends[number], number) < 0)
			goto fail;
	if (setsid() < 0 || chdir(folder) < 0 || signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &undisturbed, NULL) < 0)
		goto fail;
	umask(mask);
	/* execvp() looks in the PATH of the environment that it is called in. */
	environ = environment;
	failure.program = 1;
	execvp(argv[0], argv);
fail:
	failure.error = (uint32_t)errno;
	/* A pipe takes so little whole; without it, the status tells. */
	if (write(report, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		die_of_errno("fcntl");
}

static void spawn(struct command *command, char **argv, char **environment,
		  const char *folder, mode_t mask)
{
	/* Standard input, output, error, and the report: reading end first. */
	int pipes[4][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int number, ends[3];

	for (number = 0; number < 4; number++)
		if (pipe2(pipes[number], O_CLOEXEC) < 0)
			goto fail;
	ends[0] = pipes[0][0];
	ends[1] = pipes[1][1];
	ends[2] = pipes[2][1];
	command->pid = fork();
	if (command->pid < 0)
		goto fail;
	if (command->pid == 0)
		become(argv, environment, folder, mask, ends, pipes[3][1]);
	command->in = pipes[0][1];
	command->out[0] = pipes[1][0];
	command->out[1] = pipes[2][0];
	command->report = pipes[3][0];
	for (number = 0; number < 3; number++)
		close(ends[number]);
	close(pipes[3][1]);
	set_nonblocking(command->in);
	set_nonblocking(command->out[0]);
	set_nonblocking(command->out[1]);
	return;
fail:
	command->failure.error = (uint32_t)errno;
	command->pid = 0;
	command->exited = 1;
	for (number = 0; number < 4; number++) {
		close_fd(&pipes[number][0]);
		close_fd(&pipes[number][1]);
	}
}

static void start_command(uint16_t number, const unsigned char *data, size_t length)
{
	static char *words[FRAME_MAX + 2];
	const char *text, *folder = NULL;
	size_t argc, envc, found = 0;
	struct command *command;
	struct run run;

	if (length <= sizeof(run) || data[length - 1] != 0)
		die("a command without words");
	memcpy(&run, data, sizeof(run));
	argc = le16toh(run.argc);
	envc = le16toh(run.envc);
	/* words: the arguments, NULL, the environment, NULL. */
	for (text = (const char *)data + sizeof(run);
	     text < (const char *)data + length; text += strlen(text) + 1) {
		if (!folder) {
			folder = text;
			continue;
		}
		if (found == argc)
			words[found++] = NULL;
		if (found > argc + envc)
			die("a command with more words than it says");
		words[found++] = (char *)text;
	}
	if (found == argc)
		words[found++] = NULL;
	if (argc == 0 || found != argc + 1 + envc)
		die("a command with fewer words than it says");
	words[found] = NULL;
	command = new_command(number);
	if (!command)
		die("the host runs more commands than there is room for");
	spawn(command, words, words + argc + 1, folder, le16toh(run.umask) & 07777);
}

static void write_stdin(struct command *command)
{
	ssize_t sent;

	if (command->in < 0)
		return;
	if (command->count > 0) {
		sent = write(command->in, command->waiting + command->first, command->count);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent < 0) {
			/* It reads no more: whatever comes counts as taken. */
			close_fd(&command->in);
			sent = (ssize_t)command->count;
		}
		command->first += (size_t)sent;
		command->count -= (size_t)sent;
		command->fed += (uint32_t)sent;
	}
	if (command->count == 0) {
		command->first = 0;
		if (command->no_more)
			close_fd(&command->in);
	}
}

static void take_stdin(struct command *command, const unsigned char *data, size_t length)
{
	if (command->no_more || length > sizeof(command->waiting) - command->count)
		die("the host sent more input than it may");
	if (command->in < 0) {
		command->fed += (uint32_t)length;
		return;
	}
	if (command->first + command->count + length > sizeof(command->waiting)) {
		memmove(command->waiting, command->waiting + command->first, command->count);
		command->first = 0;
	}
	memcpy(command->waiting + command->first + command->count, data, length);
	command->count += length;
	write_stdin(command);
}

static int set_clock(const unsigned char *data, size_t length)
{
	struct timespec time;
	uint64_t value;

	if (length != sizeof(value))
		die("a frame of a wrong size");
	memcpy(&value, data, sizeof(value));
	value = le64toh(value);
	time.tv_sec = (time_t)(value / 1000000000);
	time.tv_nsec = (long)(value % 1000000000);
	return clock_settime(CLOCK_REALTIME, &time) < 0 ? errno : 0;
}

/* Into the kernel's pool, and from there at once into what hands out random bytes. */
static int add_entropy(const unsigned char *data, size_t length)
{
	union {
		struct rand_pool_info info;
		unsigned char bytes[sizeof(struct rand_pool_info) + ENTROPY_MAX];
	} pool;
	int fd, error = 0;

	if (length == 0 || length > ENTROPY_MAX)
		die("a frame of a wrong size");
	pool.info.entropy_count = (int)length * 8;
	pool.info.buf_size = (int)length;
	memcpy(pool.bytes + offsetof(struct rand_pool_info, buf), data, length);
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		error = errno;
	close(fd);
	return error;
}

static int write_line(const char *path, const unsigned char *data, size_t length)
{
	char line[NAME_MAX_BYTES + 1];
	int fd, error = 0;

	memcpy(line, data, length);
	line[length] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno;
	if (write(fd, line, length + 1) < 0)
		error = errno;
	close(fd);
	return error;
}

static int set_name(enum kind kind, const unsigned char *data, size_t length)
{
	if (length == 0 || length > NAME_MAX_BYTES)
		die("a frame of a wrong size");
	if (kind == MACHINE_ID)
		return write_line("/etc/machine-id", data, length);
	if (sethostname((const char *)data, length) < 0)
		return errno;
	return write_line("/etc/hostname", data, length);
}

static void renew(enum kind kind, const unsigned char *data, size_t length)
{
	struct answer *answer;
	int error;

	if (answer_count == ANSWERS)
		die("the host asks for more than it hears");
	if (kind == CLOCK)
		error = set_clock(data, length);
	else if (kind == ENTROPY)
		error = add_entropy(data, length);
	else
		error = set_name(kind, data, length);
	answer = &answers[answer_count++];
	answer->kind = htole32(kind);
	answer->error = htole32((uint32_t)error);
}

static void say_answers(void)
{
	while (answer_count > 0 && say(DONE, 0, &answers[0], sizeof(answers[0])))
		memmove(&answers[0], &answers[1], --answer_count * sizeof(answers[0]));
}

static void take_frame(uint16_t kind, uint16_t number, const unsigned char *data, size_t length)
{
	struct command *command;
	uint32_t value;

	if (kind == RUN) {
		start_command(number, data, length);
		return;
	}
	if (kind == GREET) {
		start_session();
		return;
	}
	if (kind >= CLOCK && kind <= MACHINE_ID) {
		renew(kind, data, length);
		return;
	}
	if (kind < STDIN || kind > TAKEN)
		die("a frame of an unknown kind");
	command = find_command(number);
	if (!command)
		return; /* it ended while the host sent this */
	switch (kind) {
	case STDIN:
		take_stdin(command, data, length);
		break;
	case STDIN_END:
		command->no_more = 1;
		write_stdin(command);
		break;
	case KILL:
		kill_command(command);
		break;
	case TAKEN:
		if (length != sizeof(value))
			die("a frame of a wrong size");
		memcpy(&value, data, sizeof(value));
		value = le32toh(value);
		if (value > OUTPUT_WINDOW - command->window)
			die("the host took more than it was sent");
		command->window += value;
		break;
	}
}

/* Drop everything up to START with this session's name; what remains is for us. */
static size_t synchronize(void)
{
	unsigned char wanted[sizeof(struct header) + sizeof(session)];
	struct header header = {
		.length = htole32(sizeof(session)),
		.kind = htole16(START),
	};
	unsigned char *found;

	memcpy(wanted, &header, sizeof(header));
	memcpy(wanted + sizeof(header), &session, sizeof(session));
	found = memmem(input, input_size, wanted, sizeof(wanted));
	if (found) {
		synced = 1;
		return (size_t)(found - input) + sizeof(wanted);
	}
	return input_size < sizeof(wanted) ? 0 : input_size - sizeof(wanted) + 1;
}

static void take_input(void)
{
	struct header header;
	size_t used = 0, length;

	for (;;) {
		memmove(input, input + used, input_size - used);
		input_size -= used;
		used = 0;
		if (!synced) {
			used = synchronize();
			if (used == 0)
				return;
			continue;
		}
		while (synced && input_size - used >= sizeof(header)) {
			memcpy(&header, input + used, sizeof(header));
			length = le32toh(header.length);
			if (length > sizeof(input) - sizeof(header))
				die("a frame that is too long");
			if (input_size - used < sizeof(header) + length)
				break;
			take_frame(le16toh(header.kind), le16toh(header.number),
				   input + used + sizeof(header), length);
			used += sizeof(header) + length;
		}
		if (used == 0)
			return;
	}
}

static void read_port(void)
{
	ssize_t got;

	got = read(port, input + input_size, sizeof(input) - input_size);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (got < 0)
			die_of_errno("the host cannot be read");
		leave(0); /* the host is gone */
	}
	input_size += (size_t)got;
	take_input();
}

static void read_output(struct command *command, int which)
{
	size_t most = room();
	ssize_t got;

	if (command->window <= sizeof(struct header) || most == 0)
		return;
	if (most > command->window - sizeof(struct header))
		most = command->window - sizeof(struct header);
	got = read(command->out[which], output + output_size + sizeof(struct header), most);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		close_fd(&command->out[which]);
		command->owed[which] = 0;
		return;
	}
	put_header(which == 0 ? STDOUT : STDERR, command->number, (size_t)got);
	command->window -= (uint32_t)got + sizeof(struct header);
	command->owed[which] = command->owed[which] > got ? command->owed[which] - (int)got : 0;
}

static void read_report(struct command *command)
{
	ssize_t got = read(command->report, &command->failure, sizeof(command->failure));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_fd(&command->report);
	command->started = got == 0;
}

static void notice_exits(void)
{
	struct command *command;
	siginfo_t info;
	int which;

	for (command = commands; command < commands + COMMANDS; command++) {
		if (!command->used || command->exited)
			continue;
		info.si_pid = 0;
		/* Left unreaped: its number stays its own for as long as we may kill it. */
		if (waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			die_of_errno("waitid");
		if (info.si_pid == 0)
			continue;
		command->exited = 1;
		command->linger = clock_ms() + LINGER_MS;
		close_fd(&command->in);
		command->count = 0;
		for (which = 0; which < 2; which++)
			if (command->out[which] >= 0 &&
			    ioctl(command->out[which], FIONREAD, &command->owed[which]) < 0)
				die_of_errno("FIONREAD");
	}
}

/* Whether nothing is left to wait for but somebody else who keeps the pipes open. */
static int only_lingers(const struct command *command)
{
	return command->exited && command->owed[0] == 0 && command->owed[1] == 0 &&
	       (command->out[0] >= 0 || command->out[1] >= 0);
}

static void finish(struct command *command)
{
	struct failure failure = {
		.error = htole32(command->failure.error),
		.program = htole32(command->failure.program),
	};
	int status = 0;

	if (room() < sizeof(failure))
		return;
	if (command->pid > 0 && waitpid(command->pid, &status, 0) < 0)
		die_of_errno("waitpid");
	command->used = 0;
	if (command->forgotten)
		return;
	if (failure.error)
		say(FAILED, command->number, &failure, sizeof(failure));
	else
		say_u32(EXIT, command->number, (uint32_t)status);
}

/* Say what has to be said of a command, as far as there is room. */
static void settle(struct command *command)
{
	if (command->forgotten)
		command->started = 0;
	if (command->started && say_u32(STARTED, command->number, (uint32_t)command->pid))
		command->started = 0;
	/* While more than half of the window is open, the host does not wait. */
	if (command->fed >= STDIN_WINDOW / 2 && !command->no_more && !command->forgotten &&
	    say_u32(FED, command->number, command->fed))
		command->fed = 0;
	if (only_lingers(command) && clock_ms() >= command->linger)
		stop_io(command);
	if (command->exited && !command->started && command->report < 0 &&
	    command->out[0] < 0 && command->out[1] < 0)
		finish(command);
}

static void say_hello(void)
{
	struct hello hello = {
		.magic = { 'K', 'L', 'A', 'B' },
		.version = htole16(VERSION),
		.commands = htole16(COMMANDS),
		.session = session,
	};

	if (say(HELLO, 0, &hello, sizeof(hello)))
		greet = 0;
}

/* Nothing is asked of a descriptor that we would not serve: poll() would not wait. */
static int wanted(const struct command *command, int which)
{
	if (!command->used)
		return -1;
	switch (which) {
	case 0:
		return command->report;
	case 1:
		return command->count > 0 || command->no_more ? command->in : -1;
	}
	if (command->report >= 0 || command->started ||
	    command->window <= sizeof(struct header) || room() == 0)
		return -1;
	return command->out[which - 2];
}

static void wait_for_work(struct pollfd fds[1 + 4 * COMMANDS])
{
	struct timespec timeout, *limit = NULL;
	int64_t now = clock_ms(), soonest = INT64_MAX;
	const struct command *command;
	int index, which;

	fds[0].fd = port;
	fds[0].events = POLLIN | (output_size ? POLLOUT : 0);
	for (index = 0; index < COMMANDS; index++) {
		command = &commands[index];
		for (which = 0; which < 4; which++) {
			fds[1 + 4 * index + which].fd = wanted(command, which);
			fds[1 + 4 * index + which].events = which == 1 ? POLLOUT : POLLIN;
			fds[1 + 4 * index + which].revents = 0;
		}
		if (command->used && only_lingers(command) && command->linger < soonest)
			soonest = command->linger;
	}
	if (soonest != INT64_MAX) {
		soonest = soonest > now ? soonest - now : 0;
		timeout.tv_sec = soonest / 1000;
		timeout.tv_nsec = soonest % 1000 * 1000000;
		limit = &timeout;
	}
	/* Children's ends are let in only here, so that none is missed. */
	if (ppoll(fds, 1 + 4 * COMMANDS, limit, &undisturbed) < 0) {
		if (errno != EINTR)
			die_of_errno("poll");
		for (index = 0; index < 1 + 4 * COMMANDS; index++)
			fds[index].revents = 0;
	}
}

static void serve(struct command *command, const struct pollfd fds[4])
{
	/* What the host sent meanwhile may have ended or replaced what was asked for. */
	if (fds[0].revents && command->report == fds[0].fd)
		read_report(command);
	if (fds[1].revents && command->in == fds[1].fd)
		write_stdin(command);
	if (fds[2].revents && command->out[0] == fds[2].fd)
		read_output(command, 0);
	if (fds[3].revents && command->out[1] == fds[3].fd)
		read_output(command, 1);
}

static void run_for_ever(void)
{
	static struct pollfd fds[1 + 4 * COMMANDS];
	int index, turn = 0;

	for (;;) {
		if (greet)
			say_hello();
		else
			say_answers();
		for (index = 0; index < COMMANDS; index++)
			if (commands[index].used)
				settle(&commands[index]);
		flush_output();
		wait_for_work(fds);
		if (child_ended) {
			child_ended = 0;
			notice_exits();
		}
		/* Another one first each time: the first to print may fill the frame. */
		turn = (turn + 1) % COMMANDS;
		for (index = turn; index < turn + COMMANDS; index++)
			if (commands[index % COMMANDS].used)
				serve(&commands[index % COMMANDS], fds + 1 + 4 * (index % COMMANDS));
		/* Last: it may start commands that nobody was asked about. */
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			read_port();
	}
}

static int open_port(const char *where)
{
	char *end;
	long number = strtol(where, &end, 10);
	int fd;

	if (*where && !*end) {
		if (number < 0 || number > INT_MAX)
			die("there is no such descriptor");
		fd = (int)number;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			die_of_errno(where);
		set_nonblocking(fd);
		return fd;
	}
	fd = open(where, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		die_of_errno(where);
	return fd;
}

/* A pipe that took the number of one of them would be lost on the way to the child. */
static void hold_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			die_of_errno("/dev/null");
	} while (fd <= 2);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = note_child };
	sigset_t child;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PATH|DESCRIPTOR\n", argv[0]);
		return 2;
	}
	port = open_port(argv[1]);
	hold_standard_streams();
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, &undisturbed) < 0 ||
	    sigaction(SIGCHLD, &action, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die_of_errno("signals");
	sigdelset(&undisturbed, SIGCHLD);
	start_session();
	run_for_ever();
}
