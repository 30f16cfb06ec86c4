// SPDX-License-Identifier: BSL-1.0
// ChildProgram: from its start to the moment when it has been reaped. A wait for its
// end is under way from the first moment in the loop's executor, and holds it: so a
// child is reaped when it ends, also when nobody asks. The end of the loop kills and
// reaps it.
// Threads: its loop's.
#pragma once

#include "mp/fd.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/waiter.hpp"
#include "concurrency/loop/loop.hpp"
#include "os/exec.hpp"

#include <sys/types.h>

#include <memory>
#include <optional>

namespace concurrency::detail {

class ChildProgram final : public std::enable_shared_from_this<ChildProgram>,
                           private LoopEnd {
public:
    /// Throws std::system_error, when it cannot be started or watched; then there is
    /// none.
    static std::shared_ptr<ChildProgram>
    start(const mp::os::ProgramStart& program, double grace);

    ChildProgram(const ChildProgram&) = delete;
    ChildProgram& operator=(const ChildProgram&) = delete;
    ~ChildProgram();

    pid_t pid() const noexcept { return pid_; }

    /// How it ended: its exit code, or -N for signal N.
    std::optional<int> code() const noexcept { return code_; }

    /// Nothing when it has ended. Throws std::system_error.
    void send_signal(int signal);

    /// Waits for its end. Throws Cancelled, and RuntimeError in another loop.
    static Task<int> wait(std::shared_ptr<ChildProgram> child);

    /// SIGTERM, and SIGKILL after the grace; it has been reaped when this is done.
    /// Cannot be cancelled. Throws std::system_error, when it may not be signalled.
    static Task<> end(std::shared_ptr<ChildProgram> child);

    /// Nobody is there any more to wait for it: as end(), but in the executor. At once,
    /// where the loop has come to its end.
    void leave() noexcept;

private:
    struct Watch;  // what is of Boost.Process
    class Ended;

    explicit ChildProgram(double grace);

    void loop_ended() noexcept override { kill_and_reap(); }

    void watch(pid_t pid, mp::UniqueFd pidfd);
    void ended(bool reaped) noexcept;
    bool is_watched() const noexcept;
    bool left_behind_by_fork() noexcept;
    void kill_and_reap() noexcept;
    void let_go() noexcept;
    void wake_all() noexcept;

    Loop& loop_;
    const double grace_;
    pid_t pid_ = 0;
    std::unique_ptr<Watch> watch_;
    bool wait_has_begun_ = false;
    std::optional<int> code_;
    List<PlainWaiter> waiters_;
};

}  // namespace concurrency::detail
