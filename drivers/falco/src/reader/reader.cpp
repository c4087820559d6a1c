// SPDX-License-Identifier: Apache-2.0
/*
 * Prints the events of Falco's drivers as `sysdig -j -b -p FORMAT FILTER`
 * does, for versions of which an archive has libsinsp and no sysdig. On
 * SIGUSR1, and at its end, it prints the driver's counters on standard error
 * in sysdig's words.
 *
 * usage: falco-reader --kmod|--bpf=PROBE FORMAT FILTER
 */
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include <libsinsp/eventformatter.h>
#include <libsinsp/filter_check_list.h>
#include <libsinsp/sinsp.h>

static const char bpf_option[] = "--bpf=";

static volatile sig_atomic_t asked, ended;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		ended = 1;
}

static void catch_signals()
{
	struct sigaction action = {};

	action.sa_handler = on_signal;
	/* A line that is half written must not fail because somebody asks. */
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	for (int number : {SIGINT, SIGTERM, SIGUSR1})
		sigaction(number, &action, nullptr);
}

/* In one write: who asks takes the lines that are there. */
static void tell(const sinsp &inspector)
{
	scap_stats stats = {};
	std::string said;

	inspector.get_capture_stats(&stats);
	said = "Driver Events:" + std::to_string(stats.n_evts) +
	       "\nDriver Drops:" + std::to_string(stats.n_drops) + "\n";
	fwrite(said.data(), 1, said.size(), stderr);
}

/* False when there is nobody to print for. */
static bool print(const std::string &line)
{
	return fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
	       (line.back() == '\n' || putchar('\n') != EOF) &&
	       fflush(stdout) == 0;
}

static void open_driver(sinsp &inspector, const char *word)
{
	if (strncmp(word, bpf_option, strlen(bpf_option)) == 0)
		inspector.open_bpf(word + strlen(bpf_option));
	else
		inspector.open_kmod();
}

/* The program's status. */
static int report(sinsp &inspector, sinsp_evt_formatter &formatter)
{
	sinsp_evt *event;
	std::string line;

	while (!ended) {
		int32_t found = inspector.next(&event);

		if (asked) {
			asked = 0;
			tell(inspector);
		}
		if (found == SCAP_TIMEOUT || found == SCAP_FILTERED_EVENT)
			continue;
		if (found != SCAP_SUCCESS) {
			fprintf(stderr, "falco-reader: %s\n",
				inspector.getlasterr().c_str());
			return 1;
		}
		if (formatter.tostring(event, line) && !line.empty() &&
		    !print(line)) {
			perror("falco-reader");
			return 1;
		}
	}
	tell(inspector);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr,
			"usage: falco-reader --kmod|--bpf=PROBE FORMAT FILTER\n");
		return 2;
	}
	try {
		sinsp inspector;
		sinsp_filter_check_list fields;

		catch_signals();
		inspector.set_import_users(false);
		inspector.set_container_engine_mask(0);
		inspector.set_buffer_format(sinsp_evt::PF_JSONBASE64);

		sinsp_evt_formatter formatter(&inspector, argv[2], fields);

		open_driver(inspector, argv[1]);
		inspector.set_filter(argv[3]);
		inspector.start_capture();
		return report(inspector, formatter);
	} catch (const std::exception &error) {
		fprintf(stderr, "falco-reader: %s\n", error.what());
		return 1;
	}
}
