// SPDX-License-Identifier: BSL-1.0
// The watchdog: a timer whose signal prints all stacks and ends the program.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "support/watchdog.hpp"

#include "support/catch.hpp"
#include "support/proc.hpp"
#include "support/sanitizer.hpp"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdarg>
#include <ctime>
#include <execinfo.h>
#include <thread>
#include <time.h>

namespace {

const int dump_signal = SIGRTMAX - 1;
pid_t test_process = 0;
bool own_group = false;
timer_t timer{};
char case_name[256] = "(no case)";
std::atomic<int> dumped{0};
std::atomic<bool> ending{false};

// Everything below say() runs in signal handlers: no allocation, no locks.
__attribute__((format(printf, 1, 2))) void say(const char* format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    const int size = std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const auto length =
        std::min(static_cast<std::size_t>(std::max(size, 0)), sizeof line - 1);
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line, length);
}

void pause_for(long milliseconds) {
    const std::timespec pause{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    ::nanosleep(&pause, nullptr);
}

void dump_this_thread() {
    char comm[32] = "?";
    ::prctl(PR_GET_NAME, comm);
    say("--- process %d thread %ld (%s)\n", ::getpid(), ::syscall(SYS_gettid), comm);
    void* frames[64];
    const int depth = ::backtrace(frames, 64);
    ::backtrace_symbols_fd(frames, depth, STDERR_FILENO);
    dumped.fetch_add(1);
}

void dump_other_threads() {
    const long self = ::syscall(SYS_gettid);
    test::for_each_entry("/proc/self/task", [self](const char* name, int) {
        const long thread = std::atol(name);
        if (thread == self) {
            return;
        }
        const int before = dumped.load();
        if (::syscall(SYS_tgkill, ::getpid(), thread, dump_signal) != 0) {
            return;
        }
        for (int i = 0; i < 100 && dumped.load() == before; ++i) {
            pause_for(5);
        }
        if (dumped.load() == before) {
            say("--- thread %ld does not answer (it blocks signal %d)\n",
                thread,
                dump_signal);
        }
    });
}

// One line of /proc/<pid>/<what>.
void say_proc(pid_t pid, const char* what) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    const test::FileText file(path);
    const std::size_t length = std::strcspn(file.text, "\n");
    say("    %s: %.*s\n", what, static_cast<int>(length), file.text);
}

bool handles(pid_t pid, int signal) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/status", pid);
    const test::FileText file(path);
    const char* caught = std::strstr(file.text, "SigCgt:");
    return caught != nullptr &&
           (std::strtoull(caught + 7, nullptr, 16) >> (signal - 1) & 1) != 0;
}

void dump_relatives() {
    test::for_each_relative([](const test::ProcStat& stat) {
        say("--- process %d (%s), state %c, parent %d\n",
            stat.pid,
            stat.name,
            stat.state,
            stat.parent);
        if (stat.zombie()) {
            return;
        }
        say_proc(stat.pid, "wchan");
        say_proc(stat.pid, "syscall");
        if (handles(stat.pid, dump_signal)) {
            ::kill(stat.pid, dump_signal);
            pause_for(500);
        }
    });
}

void kill_relatives() {
    const pid_t self = ::getpid();
    test::for_each_relative([self](const test::ProcStat& stat) {
        // In a group that we found, there may be the other end of a shell's pipeline.
        if (stat.parent == self || own_group) {
            ::kill(stat.pid, SIGKILL);
        }
    });
}

void die_of(int signal) {
    ::signal(signal, SIG_DFL);
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    ::raise(signal);
    ::_exit(128 + signal);
}

void on_dump(int, siginfo_t* info, void*) {
    if (info->si_code == SI_TIMER) {
        if (::getpid() != test_process || ending.exchange(true)) {
            return;
        }
        say("\n=== watchdog: \"%s\" did not end in time; all stacks:\n", case_name);
        dump_this_thread();
        dump_other_threads();
        dump_relatives();
        kill_relatives();
        say("=== watchdog: end of \"%s\"; names of the (+0x...): addr2line -Cfpie "
            "<program>\n",
            case_name);
        die_of(SIGABRT);
    }
    dump_this_thread();
    if (info->si_code == SI_USER) {  // kill(), from the watchdog of our test process
        dump_other_threads();
    }
}

// SIGTERM comes from ctest or timeout(1), the others from a crash of the test itself.
// A forked child that still has this handler dies as if it had not.
void on_fatal(int signal) {
    if (::getpid() == test_process && !ending.exchange(true)) {
        say("\n=== signal %d (%s) in \"%s\"\n",
            signal,
            ::sigabbrev_np(signal),
            case_name);
        dump_this_thread();
        if (signal == SIGTERM) {
            dump_other_threads();
            dump_relatives();
        }
        kill_relatives();
    }
    die_of(signal);
}

long seconds_for(const Catch::TestCaseInfo& info) {
    if (const char* text = std::getenv("MP_TEST_DEADLINE")) {
        return std::atol(text);
    }
    const bool slow = std::any_of(
        info.tags.begin(),
        info.tags.end(),
        // std::string in Catch2 2.13, a struct Tag in 3.
        [](const auto& tag) {
            if constexpr (requires { tag.original; }) {
                return tag.original == "slow" || tag.original == ".slow" ||
                       tag.original == "stress";
            } else {
                return tag == "slow" || tag == ".slow" || tag == "stress";
            }
        }
    );
    const bool slower = test::under_asan || test::under_tsan;
    // Before ctest's limit, which says nothing.
    return std::min(60L * (slow ? 10 : 1) * (slower ? 10 : 1), 840L);
}

void arm(long seconds) {
    itimerspec when{};
    when.it_value.tv_sec = seconds;
    ::timer_settime(timer, 0, &when, nullptr);
}

class WatchdogListener : public test::Listener {
public:
    using test::Listener::Listener;

    void testCaseStarting(const Catch::TestCaseInfo& info) override {
        test::Listener::testCaseStarting(info);
        std::snprintf(case_name, sizeof case_name, "%s", info.name.c_str());
        arm(seconds_for(info));
    }

    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        arm(0);
        std::snprintf(case_name, sizeof case_name, "(between two cases)");
        test::Listener::testCaseEnded(stats);
    }
};

CATCH_REGISTER_LISTENER(WatchdogListener)

}  // namespace

namespace test {

void install_watchdog() noexcept {
    test_process = ::getpid();
    if (::getpgrp() != test_process && ::setpgid(0, 0) == 0) {
        own_group = true;
        // Ctrl-C now reaches ctest but not us: end with it.
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    if (under_tsan) {
        // TSan starts a thread of its own beside the first one: before any case looks.
        std::thread([] {}).join();
    }
    // The first backtrace() of a process loads a library, which no handler may do.
    void* frame = nullptr;
    ::backtrace(&frame, 1);

    struct sigaction action {};
    action.sa_sigaction = on_dump;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(dump_signal, &action, nullptr);

    struct sigaction fatal {};
    fatal.sa_handler = on_fatal;
    fatal.sa_flags = SA_RESTART;
    ::sigaction(SIGTERM, &fatal, nullptr);
    if (!under_asan && !under_tsan) {  // they report crashes themselves
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
            ::sigaction(signal, &fatal, nullptr);
        }
    }

    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = dump_signal;
    ::timer_create(CLOCK_MONOTONIC, &event, &timer);
}

}  // namespace test
