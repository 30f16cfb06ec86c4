// SPDX-License-Identifier: BSL-1.0
// Boost.Process v2 holds the pidfd and waits for it. Starting the program, sending
// signals and killing are libmp's: its launcher is no match for a shortage of memory or
// descriptors (decision 005), it signals by number, and a signal of this process may
// end its wait for a killed child.
#include "concurrency/processes/child_program.hpp"

#include "mp/timeout.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/process/v2/process.hpp>

#include <signal.h>

#include <chrono>
#include <exception>
#include <utility>

namespace concurrency::detail {

namespace os = mp::os;
using boost::system::error_code;
using namespace std::chrono_literals;

struct ChildProgram::Watch {
    using Process = boost::process::v2::basic_process<boost::asio::any_io_executor>;

    explicit Watch(const boost::asio::any_io_executor& of_loop)
        : executor(of_loop), timer(of_loop) {}

    boost::asio::any_io_executor executor;
    // None of these is left when the executor goes.
    std::optional<boost::asio::steady_timer> timer;  // of the grace, when nobody waits
    std::optional<Process> process{};
    int pidfd = -1;  // the process's; it has no function that tells it
};

/// The handler of that wait. Destroyed before it was called, for want of memory, it
/// leaves nobody who would reap the child.
class ChildProgram::Ended {
public:
    explicit Ended(std::shared_ptr<ChildProgram> child) noexcept
        : child_(std::move(child)) {}

    Ended(Ended&&) noexcept = default;
    Ended& operator=(Ended&&) = delete;

    ~Ended() {
        if (child_ && child_->wait_has_begun_) {
            child_->kill_and_reap();
        }
    }

    void operator()(const error_code& error, int /*code*/) noexcept {
        std::exchange(child_, nullptr)->ended(!error);
    }

private:
    std::shared_ptr<ChildProgram> child_;
};

ChildProgram::ChildProgram(double grace)
    : loop_(this_task().loop()),
      grace_(grace),
      watch_(std::make_unique<Watch>(get_executor())) {}

ChildProgram::~ChildProgram() {
    kill_and_reap();
}

std::shared_ptr<ChildProgram>
ChildProgram::start(const os::ProgramStart& program, double grace) {
    const std::shared_ptr<ChildProgram> child(new ChildProgram(grace));
    const pid_t pid = os::start_program(program);
    child->watch(pid, os::pidfd_of_new_child(pid));
    return child;
}

void ChildProgram::watch(pid_t pid, mp::UniqueFd pidfd) {
    pid_ = pid;
    try {
        watch_->process.emplace(watch_->executor, pid, pidfd.get());
    } catch (...) {
        os::pidfd_send_signal(pidfd.get(), SIGKILL);
        os::wait_readable(pidfd.get(), mp::Deadline(mp::forever));
        os::pidfd_collect(pidfd.get());
        throw;
    }
    watch_->pidfd = pidfd.release();
    loop_.at_end(*this);
    watch_->process->async_wait(Ended(shared_from_this()));
    wait_has_begun_ = true;
}

void ChildProgram::ended(bool reaped) noexcept {
    if (!is_watched()) {
        return;  // it was killed, and its wait ended
    }
    int code = os::unknown_code;
    if (reaped) {
        code = os::exit_status(watch_->process->native_exit_code()).code;
    } else {
        // Somebody else has reaped it, or the kernel, where SIGCHLD is ignored.
        try {
            code = os::pidfd_collect(watch_->pidfd).value_or(os::unknown_code);
        } catch (const std::exception&) {
            // Nobody can tell.
        }
    }
    code_ = code;
    let_go();
    wake_all();
}

void ChildProgram::wake_all() noexcept {
    while (!waiters_.empty()) {
        waiters_.pop_front().task().wake();
    }
}

/// The number of a child that has been reaped may be another's: Boost.Process must not
/// look for it when it goes.
void ChildProgram::let_go() noexcept {
    try {
        watch_->process->detach();
    } catch (...) {
        // It could only not be told its executor.
    }
    watch_->process.reset();
    watch_->timer.reset();
    watch_->executor = {};  // the context that it is of may go before this
    watch_->pidfd = -1;
    LoopEnd::unlink();
}

void ChildProgram::send_signal(int signal) {
    if (is_watched()) {
        os::pidfd_send_signal(watch_->pidfd, signal);
    }
}

void ChildProgram::kill_and_reap() noexcept {
    if (!is_watched() || left_behind_by_fork()) {
        return;
    }
    try {
        os::pidfd_send_signal(watch_->pidfd, SIGKILL);
        os::wait_readable(watch_->pidfd, mp::Deadline(mp::forever));
        while (!(code_ = os::pidfd_collect(watch_->pidfd))) {
            // A debugger holds it.
            os::poll({}, mp::Deadline(1ms));
        }
    } catch (const std::exception&) {
        code_ = os::unknown_code;  // it may not be signalled, and ends when it likes
    }
    let_go();
    wake_all();
}

/// It is no child of this process, then, and its wait is in the other's reactor: what
/// is of Boost.Process is not even destroyed here.
bool ChildProgram::left_behind_by_fork() noexcept {
    if (loop_.is_of_this_process()) {
        return false;
    }
    LoopEnd::unlink();
    static_cast<void>(watch_.release());
    return true;
}

bool ChildProgram::is_watched() const noexcept {
    return watch_ != nullptr && watch_->process;
}

Task<int> ChildProgram::wait(std::shared_ptr<ChildProgram> child) {
    LoopTask& task = this_task();
    if (&task.loop() != &child->loop_) {
        throw RuntimeError("this process belongs to another loop");
    }
    task.check_cancelled();
    if (child->code_) {
        Passed passed(task);
        co_await passed;
    } else {
        PlainWaiter waiter(task, "Process.wait");
        child->waiters_.push_back(waiter);
        co_await waiter;
    }
    co_return *child->code_;
}

Task<> ChildProgram::end(std::shared_ptr<ChildProgram> child) {
    CancelScope scope({.shield = true});
    auto body = [&]() -> Task<> {
        child->send_signal(SIGTERM);
        co_await move_on_after(child->grace_, wait(child));
        if (!child->code_) {
            child->send_signal(SIGKILL);
            co_await wait(child);
        }
    };
    co_await scope.run(body);
}

void ChildProgram::leave() noexcept {
    if (!is_watched() || left_behind_by_fork()) {
        return;
    }
    const bool is_here =
        Loop::running() == &loop_ || loop_.driver().is_known_to_be_here();
    if (!is_here || loop_.is_abandoned()) {
        kill_and_reap();  // nobody would see to it
        return;
    }
    try {
        send_signal(SIGTERM);
    } catch (const std::exception&) {
        return;  // it ends when it likes, and is reaped then
    }
    if (grace_ == inf) {
        return;
    }
    try {
        watch_->timer->expires_at(to_time_point(to_seconds(Clock::now()) + grace_));
        watch_->timer->async_wait([self = shared_from_this()](const error_code& error) {
            if (!error) {
                try {
                    self->send_signal(SIGKILL);
                } catch (const std::exception&) {
                    // It may not be signalled: it ends when it likes.
                }
            }
        });
    } catch (...) {
        kill_and_reap();
    }
}

}  // namespace concurrency::detail
