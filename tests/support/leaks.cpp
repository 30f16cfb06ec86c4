// SPDX-License-Identifier: BSL-1.0
// The leak listener: takes a snapshot before each case and compares after it.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "support/leaks.hpp"

#include "mp/forkserver.hpp"

#include "support/catch.hpp"
#include "support/proc.hpp"
#include "support/sanitizer.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

bool found = false;

// What a process owns, each thing with the text to print when it stays.
struct Snapshot {
    std::map<pid_t, std::string> processes;
    std::map<int, std::string> descriptors;
    std::map<std::string, std::string> shm_names;
    std::map<pid_t, std::string> threads;
    std::map<int, std::string> signals;
};

void take_processes(Snapshot& out) {
    test::for_each_relative([&](const test::ProcStat& stat) {
        if (stat.zombie() && stat.parent != ::getpid()) {
            return;  // its parent is to collect it: init, which may take its time
        }
        const char* kind = stat.zombie()               ? "zombie"
                           : stat.parent == ::getpid() ? "child"
                                                       : "orphan";
        out.processes[stat.pid] =
            std::string(kind) + ' ' + std::to_string(stat.pid) + " (" + stat.name + ')';
    });
}

void take_descriptors(Snapshot& out) {
    test::for_each_entry("/proc/self/fd", [&](const char* name, int own) {
        const int fd = std::atoi(name);
        if (fd == own) {
            return;
        }
        char target[256] = "";
        const std::string path = std::string("/proc/self/fd/") + name;
        const ssize_t size = ::readlink(path.c_str(), target, sizeof target - 1);
        out.descriptors[fd] =
            std::string("descriptor ") + name + " -> " +
            std::string(target, size > 0 ? static_cast<std::size_t>(size) : 0);
    });
}

void take_shm_names(Snapshot& out) {
    test::for_each_entry("/dev/shm", [&](const char* name, int) {
        // OpenMPI's: those of a job beside this one come and go.
        if (std::strncmp(name, "vader_segment.", 14) == 0) {
            return;
        }
        out.shm_names[name] = std::string("name /dev/shm/") + name;
    });
}

void take_threads(Snapshot& out) {
    test::for_each_entry("/proc/self/task", [&](const char* name, int) {
        const test::FileText comm(
            (std::string("/proc/self/task/") + name + "/comm").c_str()
        );
        std::string thread_name(comm.text, comm.size);
        while (!thread_name.empty() && thread_name.back() == '\n') {
            thread_name.pop_back();
        }
        out.threads[std::atoi(name)] =
            std::string("thread ") + name + " (" + thread_name + ')';
    });
}

void take_signals(Snapshot& out) {
    sigset_t blocked;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) != 0) {
            continue;
        }
        const char* how = action.sa_handler == SIG_DFL   ? "default"
                          : action.sa_handler == SIG_IGN ? "ignored"
                                                         : "handled";
        std::string text = std::string("signal ") + std::to_string(number) + ' ' + how;
        if (::sigismember(&blocked, number) == 1) {
            text += ", blocked";
        }
        out.signals[number] = text;
    }
}

bool names_memory(const std::string& text) {
    return text.find("/dev/shm/") != std::string::npos;
}

// Whether another process maps the file that the text names, or has it open.
bool is_in_use(const std::string& text) {
    const std::string path = text.substr(text.find("/dev/shm/"));
    bool used = false;
    test::for_each_process([&](const test::ProcStat& stat) {
        if (stat.pid == ::getpid()) {
            return;
        }
        const std::string process = "/proc/" + std::to_string(stat.pid);
        std::ifstream maps(process + "/maps");
        std::string line;
        while (!used && std::getline(maps, line)) {
            used = line.ends_with(path);
        }
        test::for_each_entry((process + "/fd").c_str(), [&](const char* fd, int) {
            char target[256] = "";
            const std::string link = process + "/fd/" + fd;
            const ssize_t size = ::readlink(link.c_str(), target, sizeof target - 1);
            used = used || (size > 0 && path == target);
        });
    });
    return used;
}

Snapshot take() {
    Snapshot out;
    take_processes(out);
    take_descriptors(out);
    take_shm_names(out);
    take_threads(out);
    take_signals(out);
    return out;
}

template <class Key>
void compare(
    const std::map<Key, std::string>& before,
    const std::map<Key, std::string>& after,
    std::vector<std::string>& out,
    bool vanishing_counts
) {
    for (const auto& [key, text] : after) {
        const auto old = before.find(key);
        if (old == before.end()) {
            out.push_back("left behind: " + text);
        } else if (vanishing_counts && old->second != text) {
            out.push_back("changed: " + old->second + " is now " + text);
        }
    }
    for (const auto& [key, text] : before) {
        if (vanishing_counts && after.find(key) == after.end()) {
            out.push_back("gone: " + text);
        }
    }
}

std::vector<std::string> differences(const Snapshot& before, const Snapshot& after) {
    std::vector<std::string> out;
    compare(before.processes, after.processes, out, false);
    compare(before.descriptors, after.descriptors, out, true);
    compare(before.shm_names, after.shm_names, out, false);
    compare(before.threads, after.threads, out, false);
    compare(before.signals, after.signals, out, true);
    return out;
}

class LeakListener : public test::Listener {
public:
    using test::Listener::Listener;

    void testCaseStarting(const Catch::TestCaseInfo& info) override {
        test::Listener::testCaseStarting(info);
        before_ = take();
    }

    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        if (before_) {
            check(stats);
        }
        before_.reset();
        test::Listener::testCaseEnded(stats);
    }

private:
    void check(const Catch::TestCaseStats& stats) {
        mp::stop_helpers();
        // The kernel takes a joined thread or a killed orphan off its lists a moment
        // after the wait for it returned: look again before calling it a leak. Names in
        // /dev/shm may be those of another test, which runs beside: it uses them.
        // ThreadSanitizer has each process sleep for a second before it ends, and
        // AddressSanitizer gives each terabytes of addresses to take down.
        constexpr bool slow = test::under_tsan || test::under_asan;
        constexpr auto grace = std::chrono::seconds(slow ? 10 : 2);
        constexpr auto grace_of_names = std::chrono::seconds(10);
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::string> left = differences(*before_, take());
        for (;;) {
            const bool named = std::any_of(left.begin(), left.end(), names_memory);
            const auto waited = std::chrono::steady_clock::now() - begin;
            if (left.empty() || waited >= (named ? grace_of_names : grace)) {
                std::erase_if(left, [](const std::string& text) {
                    return names_memory(text) && is_in_use(text);
                });
                break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            const auto now = differences(*before_, take());
            std::erase_if(left, [&](const std::string& text) {
                return std::find(now.begin(), now.end(), text) == now.end();
            });
        }
        for (const std::string& text : left) {
            found = true;
            std::fprintf(
                stderr,
                "LEAK: \"%s\": %s\n",
                name_of(stats.testInfo).c_str(),
                text.c_str()
            );
        }
        end_processes();
    }

    // Reported already; the next case need not suffer from them, nor the machine.
    void end_processes() {
        Snapshot now;
        take_processes(now);
        for (const auto& [pid, text] : now.processes) {
            if (before_->processes.count(pid) == 0) {
                ::kill(pid, SIGKILL);
                ::waitpid(pid, nullptr, 0);  // fails at once for an orphan
            }
        }
    }

    // A reference in Catch2 2.13, a pointer in 3.
    static std::string name_of(const Catch::TestCaseInfo& info) { return info.name; }

    static std::string name_of(const Catch::TestCaseInfo* info) { return info->name; }

    std::optional<Snapshot> before_;
};

CATCH_REGISTER_LISTENER(LeakListener)

}  // namespace

namespace test {

bool leaks_found() noexcept {
    return found;
}

}  // namespace test
