// SPDX-License-Identifier: BSL-1.0
#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace tools_test {

namespace {

namespace fs = std::filesystem;

mp::UniqueFd memory_file(const std::string& content) {
    mp::UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    if (!fd || ::write(fd.get(), content.data(), content.size()) !=
                   static_cast<ssize_t>(content.size())) {
        throw std::runtime_error("memfd failed");
    }
    ::lseek(fd.get(), 0, SEEK_SET);
    return fd;
}

std::string content_of(int fd) {
    std::string text(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

/// A program that is told to end at once joins no thread and waits for nothing. TSan
/// would report the threads, and sleep a second in _exit().
std::string sanitizer_options() {
    const char* const given = std::getenv("TSAN_OPTIONS");
    return std::string("TSAN_OPTIONS=") + (given != nullptr ? given : "") +
           " report_thread_leaks=0 atexit_sleep_ms=0";
}

// CHILD SIDE: async-signal-safe calls only
[[noreturn]] void child_exec(
    char* const* arguments,
    char* const* environment,
    const char* directory,
    std::array<int, 3> fds
) noexcept {
    ::setpgid(0, 0);
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int to = 0; to != 3; ++to) {
        const int from = fds[static_cast<std::size_t>(to)];
        if (from < 0) {
            ::close(to);
        } else {
            ::dup2(from, to);
        }
    }
    if (directory[0] != '\0' && ::chdir(directory) != 0) {
        ::_exit(126);
    }
    ::execvpe(arguments[0], arguments, environment);
    ::_exit(127);
}

// CHILD SIDE ends

bool has_open(pid_t pid, const std::string& path) {
    std::error_code gone;
    fs::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd", gone);
    for (; !gone && fds != fs::directory_iterator(); fds.increment(gone)) {
        std::error_code closed;
        if (fs::read_symlink(fds->path(), closed) == path) {
            return true;
        }
    }
    return false;
}

/// Looks again every millisecond until `done()` or the deadline.
template <class Done>
bool eventually(mp::Timeout timeout, Done done) {
    const mp::Deadline deadline(timeout);
    while (!done()) {
        if (deadline.expired()) {
            return false;
        }
        ::poll(nullptr, 0, 1);
    }
    return true;
}

}  // namespace

Program::Program(std::vector<std::string> arguments, ProgramOptions options) {
    const mp::UniqueFd in = memory_file(options.input);
    out_ = memory_file("");
    err_ = memory_file("");
    std::vector<std::string> environment = std::move(options.set_environment);
    environment.push_back(sanitizer_options());
    for (char** entry = environ; *entry != nullptr; ++entry) {
        environment.emplace_back(*entry);
    }
    const std::vector<char*> argv = pointers(arguments);
    const std::vector<char*> envp = pointers(environment);
    const int out = options.out_closed ? -1 : options.out.value_or(out_.get());
    pid_ = ::fork();
    if (pid_ == 0) {
        child_exec(
            argv.data(),
            envp.data(),
            options.directory.c_str(),
            {in.get(), out, err_.get()}
        );
    }
    if (pid_ < 0) {
        throw std::runtime_error("fork failed");
    }
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Program::~Program() {
    if (!reaped_) {
        ::kill(-pid_, SIGKILL);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

std::optional<Finished> Program::wait(mp::Timeout timeout) {
    pollfd ended{pidfd_.get(), POLLIN, 0};
    if (::poll(&ended, 1, mp::Deadline(timeout).poll_milliseconds()) != 1) {
        return std::nullopt;
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    reaped_ = true;
    return Finished{
        WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
        content_of(out_.get()),
        content_of(err_.get())};
}

Finished run(std::vector<std::string> arguments, ProgramOptions options) {
    const std::string name = arguments.front();
    Program program(std::move(arguments), std::move(options));
    std::optional<Finished> finished = program.wait(std::chrono::seconds(60));
    if (!finished) {
        throw std::runtime_error(name + " does not end");
    }
    return *std::move(finished);
}

std::vector<pid_t> descendants(pid_t pid) {
    std::vector<pid_t> found;
    std::error_code gone;
    fs::directory_iterator tasks("/proc/" + std::to_string(pid) + "/task", gone);
    for (; !gone && tasks != fs::directory_iterator(); tasks.increment(gone)) {
        std::ifstream children(tasks->path() / "children");
        for (pid_t child = 0; children >> child;) {
            found.push_back(child);
            const std::vector<pid_t> below = descendants(child);
            found.insert(found.end(), below.begin(), below.end());
        }
    }
    found.erase(
        std::remove_if(
            found.begin(), found.end(), [](pid_t one) { return !is_running(one); }
        ),
        found.end()
    );
    return found;
}

bool is_running(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::stringstream text;
    text << file.rdbuf();
    const std::string stat = text.str();
    const std::size_t name_end = stat.rfind(')');  // the name may hold anything
    return name_end != std::string::npos && name_end + 2 < stat.size() &&
           stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

std::optional<pid_t> wait_for_reader(
    pid_t pid,
    const std::string& path,
    mp::Timeout timeout,
    const std::vector<pid_t>& except
) {
    std::optional<pid_t> reader;
    eventually(timeout, [&] {
        for (const pid_t candidate : descendants(pid)) {
            if (std::find(except.begin(), except.end(), candidate) == except.end() &&
                has_open(candidate, path)) {
                reader = candidate;
            }
        }
        return reader.has_value();
    });
    return reader;
}

bool wait_for_open(pid_t pid, const std::string& path, mp::Timeout timeout) {
    return eventually(timeout, [&] { return has_open(pid, path); });
}

bool wait_for_full_pipe(int write_end, mp::Timeout timeout) {
    return eventually(timeout, [&] {
        pollfd room{write_end, POLLOUT, 0};
        return ::poll(&room, 1, 0) == 0;
    });
}

std::string read_to_end(int fd) {
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(fd, piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
}

bool wait_for_end(const std::vector<pid_t>& pids, mp::Timeout timeout) {
    return eventually(timeout, [&] {
        return std::none_of(pids.begin(), pids.end(), is_running);
    });
}

}  // namespace tools_test
