// SPDX-License-Identifier: BSL-1.0
// Program by Boost.Process. What it has no initialiser for stands in ChildSetup.
#include "support/program.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/start_dir.hpp>
#include <boost/process/v2/stdio.hpp>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace test {

namespace {

namespace process = boost::process::v2;
using boost::filesystem::path;
using Launcher = process::posix::default_launcher;

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

/// A program that is told to end at once joins no thread and waits for nothing. TSan
/// would report the threads, and sleep a second in _exit().
std::string sanitizer_options() {
    const char* const given = std::getenv("TSAN_OPTIONS");
    return std::string("TSAN_OPTIONS=") + (given != nullptr ? given : "") +
           " report_thread_leaks=0 atexit_sleep_ms=0";
}

/// These before our own: of two with one name, the first counts.
std::vector<std::string> environment_with(std::vector<std::string> first) {
    first.push_back(sanitizer_options());
    for (char** entry = environ; *entry != nullptr; ++entry) {
        first.emplace_back(*entry);
    }
    return first;
}

path found_by_path(const std::string& name) {
    return name.find('/') != std::string::npos
               ? path(name)
               : process::environment::find_executable(name);
}

std::vector<const char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<const char*> pointers;
    for (const std::string& text : texts) {
        pointers.push_back(text.c_str());
    }
    pointers.push_back(nullptr);
    return pointers;
}

/// An initialiser, after the one for the standard descriptors.
struct ChildSetup {
    const char* const* environment;
    bool out_closed;

    // Boost 1.81 declares process_environment's, and nothing more.
    process::error_code
    on_setup(Launcher& launcher, const path&, const char* const*) const {
        launcher.env = environment;
        return {};
    }

    // CHILD SIDE: async-signal-safe calls only
    process::error_code
    on_exec_setup(Launcher&, const path&, const char* const*) const noexcept {
        ::setpgid(0, 0);
        ::signal(SIGPIPE, SIG_DFL);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        if (out_closed) {
            ::close(STDOUT_FILENO);
        }
        return {};
    }

    // CHILD SIDE ends
};

}  // namespace

struct Program::Running {
    boost::asio::io_context context;
    process::process process;
    bool ended = false;

    /// Starts it; throws when it cannot.
    template <class... Initialisers>
    Running(
        const std::string& name, const char** arguments, Initialisers&&... initialisers
    )
        : process(
              context,
              found_by_path(name),
              arguments,
              std::forward<Initialisers>(initialisers)...
          ) {
        process.async_wait([this](process::error_code, int) { ended = true; });
    }

    Running(Running&&) = delete;
    Running& operator=(Running&&) = delete;
};

Program::Program(std::vector<std::string> arguments, ProgramOptions options)
    : out_(memory_file("")), err_(memory_file("")) {
    const mp::UniqueFd in = memory_file(options.input);
    const std::vector<std::string> environment =
        environment_with(std::move(options.set_environment));
    // With the name as it was given: programs speak of themselves by it.
    std::vector<const char*> argv = pointers_to(arguments);
    const std::vector<const char*> envp = pointers_to(environment);
    running_ = std::make_unique<Running>(
        arguments.front(),
        argv.data(),
        process::process_stdio{in.get(), options.out.value_or(out_.get()), err_.get()},
        process::process_start_dir(options.directory.empty() ? "." : options.directory),
        ChildSetup{envp.data(), options.out_closed}
    );
    pid_ = running_->process.id();
}

Program::~Program() {
    if (!running_->ended) {
        ::kill(-pid_, SIGKILL);
    }
}

std::optional<Finished> Program::wait(mp::Timeout timeout) {
    running_->context.run_until(mp::Deadline(timeout).time_point());
    if (!running_->ended) {
        return std::nullopt;
    }
    const int status = running_->process.native_exit_code();
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

}  // namespace test
