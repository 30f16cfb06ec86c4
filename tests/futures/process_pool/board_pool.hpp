// SPDX-License-Identifier: BSL-1.0
// A pool that is a board and plain forked workers, for tests of the board's protocol
// alone: what its tasks are, and who runs them. Linked with the libraries' failpoints.
#pragma once

#include "mp/detail/shm.hpp"

#include "process_pool/board.hpp"
#include "process_pool/board_worker.hpp"
#include "process_pool/manager_thread.hpp"
#include "process_pool/message_arena.hpp"
#include "support/failpoints.hpp"
#include "util/parent_watch.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <vector>

namespace test {

using namespace futures::detail;

constexpr std::uint32_t max_tasks = 3'000'000;

struct Call {
    std::uint32_t id;
    std::uint32_t microseconds;
    std::uint32_t result_size;  // the result is so many bytes of fill_of(id)
    std::uint32_t padding;      // and so many follow here
};

inline std::byte fill_of(std::uint32_t id) {
    return static_cast<std::byte>(id * 3 + 1);
}

/// How often each task ran, seen by all processes.
class RunCounts {
public:
    RunCounts() : segment_("runs", max_tasks * sizeof(std::atomic<std::uint32_t>)) {}

    std::atomic<std::uint32_t>& of(std::uint32_t id) {
        return reinterpret_cast<std::atomic<std::uint32_t>*>(segment_.data())[id];
    }

private:
    mp::detail::Segment segment_;
};

class TestRunner : public TaskRunner {
public:
    explicit TestRunner(RunCounts& counts) : counts_(counts) {}

    ResultKind
    run(std::span<const std::byte> bytes,
        mp::detail::ByteWriter& out) noexcept override {
        Call call{};
        std::memcpy(&call, bytes.data(), sizeof call);
        counts_.of(call.id).fetch_add(1);
        bool intact = bytes.size() == sizeof call + call.padding;
        for (const std::byte b : bytes.subspan(sizeof call)) {
            intact = intact && b == fill_of(call.id);
        }
        const auto until = std::chrono::steady_clock::now() +
                           std::chrono::microseconds(call.microseconds);
        while (call.microseconds != 0 && std::chrono::steady_clock::now() < until) {
        }
        std::memset(
            out.extend(call.result_size),
            intact ? std::to_integer<int>(fill_of(call.id)) : 0,
            call.result_size
        );
        if (call.id % 2 == 0) {
            head.done->call_done();  // as what has arguments to destroy
        }
        return ResultKind::value;
    }

private:
    RunCounts& counts_;
};

class TestTask final : public BoardTask {
public:
    bool finish() noexcept override {
        // The thread that waits may free the task as soon as it says that it is
        // finished.
        const bool has_callback = callback != nullptr;
        ++finished_;
        state_.store(1);
        futex_wake(state_, mp::detail::everybody, mp::detail::FutexScope::process);
        return has_callback;
    }

    void finish_callbacks() override { callback(*this); }

    void cancel_future() override {}

    bool is_finished() const noexcept override { return state_.load() != 0; }

    /// As a future does: helps the board, then sleeps until it is told.
    bool wait(Board& board, const mp::Deadline& deadline) noexcept {
        if (!board.help(*this, deadline)) {
            while (!is_finished() && !deadline.expired()) {
                futex_wait(state_, 0, deadline, mp::detail::FutexScope::process);
            }
        }
        return is_finished();
    }

    void (*callback)(TestTask&) = nullptr;

    int times_finished() const { return finished_; }

private:
    mp::detail::FutexWord state_{0};
    int finished_ = 0;
};

/// A pool of plain forked workers, each replaced when it dies.
class TestPool : public ManagerDuties {
public:
    using FaultPlan = std::function<Failpoint()>;

    TestPool(BoardOptions options, RunCounts& counts, FaultPlan plan = {})
        : board(options),
          calls(std::make_shared<CallArena>(arena_sizes(1).calls)),
          counts_(counts),
          plan_(std::move(plan)),
          workers_(options.workers),
          manager_(board, *this) {
        for (std::uint32_t i = 0; i < options.workers; ++i) {
            spawn(i);
        }
        manager_.start(nullptr);
    }

    ~TestPool() override {
        closing_ = true;
        board.doorbell().ring();
        manager_.join();
        board.stop_workers();
        for (const Worker& worker : workers_) {
            kill(worker.pid, SIGCONT);
            waitpid(worker.pid, nullptr, 0);
        }
    }

    bool housekeeping() noexcept override { return !closing_; }

    void idle() noexcept override {
        calls->trim(0);
        board.trim();
    }

    void worker_gone(std::uint32_t index) noexcept override {
        const std::lock_guard lock(mutex_);
        Worker& worker = workers_[index];
        waitpid(worker.pid, nullptr, 0);
        manager_.unwatch(worker.pidfd.get());
        worker.pid = 0;
        ++deaths;  // first: the lost ones are counted as soon as they end
        board.take_ready_result(index);
        board.recover(index, [](BoardTask&) {
            return std::make_exception_ptr(std::runtime_error("lost"));
        });
        spawn(index);
    }

    void send(std::uint32_t index, int signal) {
        const std::lock_guard lock(mutex_);
        kill(workers_[index].pid, signal);
    }

    Board board;
    std::shared_ptr<CallArena> calls;
    std::atomic<std::uint64_t> deaths{0};

private:
    struct Worker {
        pid_t pid = 0;
        mp::UniqueFd pidfd;
        mp::detail::Lifeline lifeline;
    };

    void spawn(std::uint32_t index) {
        auto arena = std::make_shared<ResultArenaReader>(arena_sizes(1).results);
        board.prepare(index, arena);
        const Failpoint fault = plan_ ? plan_() : Failpoint{};
        auto lifeline = mp::detail::Lifeline::make();
        const pid_t pid = fork();
        if (pid == 0) {
            mp::detail::set_parent_watch_fd(lifeline.childs_end());
            mp::detail::die_with_parent();
            arm(fault);
            TestRunner runner(counts_);
            ResultArenaWriter results(
                mp::detail::Segment(mp::UniqueFd(dup(arena->segment().fileno())))
            );
            BoardWorkerOptions options;
            options.index = index;
            options.policy = board.options().policy;
            options.doorbell = board.doorbell().fileno();
            BoardWorker(board.view(), calls->memory(), results, options).run(runner);
            _exit(0);
        }
        lifeline.childs_end();
        workers_[index].lifeline = std::move(lifeline);
        workers_[index].pid = pid;
        workers_[index].pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
        manager_.watch(index, workers_[index].pidfd.get());
    }

    RunCounts& counts_;
    FaultPlan plan_;
    std::mutex mutex_;
    std::vector<Worker> workers_;
    std::atomic<bool> closing_{false};
    ManagerThread manager_;
};

}  // namespace test
