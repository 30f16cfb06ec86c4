// SPDX-License-Identifier: BSL-1.0
#include "os/fork.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/file_text.hpp"
#include "os/stream_text.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <dirent.h>
#include <stdexcept>
#include <string_view>

// Only there in a program that runs under ThreadSanitizer.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" [[gnu::weak]] void __tsan_acquire(void*);

namespace mp::os {
namespace {

constexpr std::size_t max_handlers = 16;
std::array<std::atomic<void (*)()>, max_handlers> handlers{};
std::atomic<std::size_t> handler_count{0};

thread_local bool in_fork_process = false;
// This thread forks, and the handlers of this program run.
thread_local bool handlers_run = false;

/// Empty for a thread that has ended, or is about to: one that was joined may be listed
/// for a moment.
std::string name_of_thread(const std::string& id) {
    constexpr unsigned long exiting = 0x4;  // PF_EXITING
    const std::string line =
        text_of_file("/proc/self/task/" + id + "/stat").value_or("");
    // "id (name) state ppid pgrp session tty tpgid flags ...": the name may hold
    // anything.
    const auto begin = line.find('(');
    const auto end = line.rfind(')');
    if (begin == std::string::npos || end == std::string::npos || end < begin) {
        return {};
    }
    Words rest(std::string_view(line).substr(end + 1));
    const std::string_view state = rest.next();
    constexpr int between = 5;
    for (int skipped = 0; skipped < between; ++skipped) {
        rest.next();
    }
    const unsigned long flags = rest.next_number<unsigned long>().value_or(0);
    if (state.empty() || state == "X" || state == "Z" || (flags & exiting) != 0) {
        return {};
    }
    return end == begin + 1 ? id : line.substr(begin + 1, end - begin - 1);
}

// An exception of a handler, for want of memory, must not reach the parent's code, of
// which the child is in the middle.
void run_handlers() noexcept {
    for (const auto& handler : handlers) {
        if (void (*const run)() = handler.load()) {
            run();
        }
    }
}

}  // namespace

void on_fork_in_child(void (*handler)()) {
    static const int registered =
        ::pthread_atfork([] { handlers_run = true; }, nullptr, run_handlers);
    const std::size_t slot = handler_count.fetch_add(1);
    if (registered != 0 || slot >= max_handlers) {
        throw std::logic_error("no room for another fork handler");
    }
    handlers[slot].store(handler);
}

pid_t fork_process() {
    write_out_before_fork();
    in_fork_process = true;
    handlers_run = false;
    const pid_t pid = ::fork();
    in_fork_process = false;
    if (pid >= 0 && !handlers_run) {
        // The C library has dropped them, since the main thread is leaving exit(). The
        // child takes itself for its parent.
        if (pid == 0) {
            ::_exit(EXIT_FAILURE);
        }
        restarting([&] { return ::waitpid(pid, nullptr, 0); });
        throw StateError("no process can be forked any more: this program has ended");
    }
    if (pid == 0) {
        drop_text_of_parent();
    }
    return check(pid, "fork");
}

bool forking_a_process() noexcept {
    return in_fork_process;
}

bool is_only_thread() noexcept {
    // TSan's own thread, beside those of the program, registers nothing at exit.
    const unsigned allowed = __tsan_acquire != nullptr ? 2 : 1;
    // A directory for each thread, besides its own entry and its parent's.
    struct stat status {};
    return ::stat("/proc/self/task", &status) == 0 && status.st_nlink >= 3 &&
           status.st_nlink <= 2 + allowed;
}

std::vector<std::string> other_threads() {
    std::vector<std::string> names;
    if (is_only_thread()) {  // the usual answer, without a listing
        return names;
    }
    DIR* directory = ::opendir("/proc/self/task");
    if (directory == nullptr) {
        return names;
    }
    const std::string own = std::to_string(::gettid());
    while (const dirent* entry = ::readdir(directory)) {
        const std::string id = entry->d_name;
        if (id[0] == '.' || id == own) {
            continue;
        }
        if (const std::string name = name_of_thread(id); !name.empty()) {
            names.push_back(name);
        }
    }
    ::closedir(directory);
    return names;
}

void close_standard_input() noexcept {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) {
        ::close(0);
    } else if (null != 0) {
        ::dup2(null, 0);
        ::close(null);
    } else {
        ::fcntl(0, F_SETFD, 0);
    }
    drop_read_ahead();
}

void fill_standard_streams() noexcept {
    for (int stream = 0; stream <= 2; ++stream) {
        const int flags = ::fcntl(stream, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            continue;
        }
        // Where it is closed this is the lowest free number: those below are open by
        // now.
        const int null = ::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
        if (null >= 0 && null != stream) {
            ::dup2(null, stream);
            ::close(null);
        }
    }
}

}  // namespace mp::os
