// SPDX-License-Identifier: BSL-1.0
// The board's protocol alone: workers made by plain fork, killed at every point between
// two operations and at random ones, and stopped. Each task must end exactly once, with
// the right result, and must have run exactly once, or at most once if it was lost.
// The library's sources are linked with their failpoints.
#include "mp/detail/shm.hpp"

#include "process_pool/board.hpp"
#include "process_pool/board_worker.hpp"
#include "process_pool/manager_thread.hpp"
#include "process_pool/message_arena.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/sanitizer.hpp"
#include "util/parent_watch.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

using namespace futures::detail;
using namespace std::chrono_literals;
using mp::Deadline;

namespace {

/// The places in the worker's side of the board's protocol.
constexpr std::array failpoints{
    "worker: slot seen",          "worker: before claim",
    "worker: after claim",        "worker: head moved",
    "worker: before help",        "worker: after help",
    "worker: search begun",       "worker: stopped searching",
    "worker: before token",       "worker: after token",
    "worker: before worker wake", "worker: after worker wake",
    "worker: before park",        "worker: after park",
    "worker: after sleeper bit",  "worker: after search end",
    "worker: before sleep",       "worker: after sleep",
    "worker: bit cleared",        "worker: before running",
    "worker: after running",      "worker: after run",
    "worker: after result bytes", "worker: before push",
    "worker: entry half written", "worker: before commit",
    "worker: after commit",       "worker: before parent wake",
    "worker: client counted",     "worker: before parent mark",
    "worker: after parent mark",
};

constexpr std::uint32_t max_tasks = 3'000'000;

struct Call {
    std::uint32_t id;
    std::uint32_t microseconds;
    std::uint32_t result_size;  // the result is so many bytes of pattern(id)
    std::uint32_t padding;      // and so many follow here
};

std::byte pattern(std::uint32_t id) {
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
            intact = intact && b == pattern(call.id);
        }
        const auto until = std::chrono::steady_clock::now() +
                           std::chrono::microseconds(call.microseconds);
        while (call.microseconds != 0 && std::chrono::steady_clock::now() < until) {
        }
        std::memset(
            out.extend(call.result_size),
            intact ? std::to_integer<int>(pattern(call.id)) : 0,
            call.result_size
        );
        return ResultKind::value;
    }

private:
    RunCounts& counts_;
};

class TestTask final : public BoardTask {
public:
    bool finish() noexcept override {
        // Who waits may free the task as soon as it says that it is finished.
        const bool has_callback = callback != nullptr;
        ++finished_;
        state_.store(1);
        futex_wake(state_, mp::detail::everybody, mp::detail::FutexScope::process);
        return has_callback;
    }

    void finish_callbacks() noexcept override { callback(*this); }

    void cancel_future() noexcept override {}

    bool is_finished() const noexcept override { return state_.load() != 0; }

    void sleep(const Deadline& deadline) noexcept override {
        futex_wait(state_, 0, deadline, mp::detail::FutexScope::process);
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
    using FaultPlan = std::function<test::Failpoint()>;

    TestPool(BoardOptions options, RunCounts& counts, FaultPlan plan = {})
        : board(options),
          calls(std::make_shared<CallArena>()),
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

    void worker_gone(std::uint32_t index) noexcept override {
        const std::lock_guard lock(mutex_);
        Worker& worker = workers_[index];
        waitpid(worker.pid, nullptr, 0);
        manager_.unwatch(worker.pidfd.get());
        worker.pid = 0;
        ++deaths;  // first: the lost ones are counted as soon as they end
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
    };

    void spawn(std::uint32_t index) {
        auto arena = std::make_shared<ResultArenaReader>();
        board.prepare(index, arena);
        const test::Failpoint fault = plan_ ? plan_() : test::Failpoint{};
        const pid_t pid = fork();
        if (pid == 0) {
            mp::detail::die_with_parent();
            test::arm(fault);
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

struct Tally {
    std::atomic<std::uint64_t> total{0};
    std::atomic<std::uint64_t> delivered{0};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> hung{0};
};

struct Submitted {
    std::unique_ptr<TestTask> task;
    Call call;
    bool cancelled = false;
};

/// Submits tasks in bursts of random length, cancels some, and checks each result.
class Client {
public:
    Client(TestPool& pool, RunCounts& counts, Tally& tally, unsigned seed)
        : pool_(pool), counts_(counts), tally_(tally), random_(seed) {}

    void burst(std::atomic<std::uint32_t>& ids, std::uint32_t size) {
        std::vector<Submitted> tasks;
        for (std::uint32_t i = 0; i < size; ++i) {
            tasks.push_back(submit(ids++));
        }
        if (random_() % 4 == 0) {
            std::reverse(tasks.begin(), tasks.end());
        }
        for (Submitted& submitted : tasks) {
            settle(submitted);
        }
    }

    std::uint32_t random(std::uint32_t below) {
        return static_cast<std::uint32_t>(random_() % below);
    }

private:
    Submitted submit(std::uint32_t id) {
        static constexpr std::uint32_t sizes[] = {8, 8, 8, 16, 160, 240, 241, 5000};
        Submitted result;
        result.task = std::make_unique<TestTask>();
        result.call = {
            id,
            random(16) == 0 ? random(60) : 0,
            sizes[random(8)],
            random(8) == 0 ? random(3000) : 0};
        const std::size_t size = sizeof(Call) + result.call.padding;
        std::vector<std::byte> bytes(size, pattern(id));
        std::memcpy(bytes.data(), &result.call, sizeof(Call));
        ++tally_.total;
        if (size > CallItem::capacity) {
            Block block = pool_.calls->allocate(size);
            std::memcpy(block.bytes().data(), bytes.data(), size);
            result.task->message.adopt(std::move(block));
            pool_.board.submit(*result.task, {});
        } else {
            pool_.board.submit(*result.task, bytes);
        }
        if (random(32) == 0) {
            result.cancelled = pool_.board.cancel(*result.task);
        }
        return result;
    }

    void settle(Submitted& submitted) {
        TestTask& task = *submitted.task;
        const auto runs = [&] {
            return counts_.of(submitted.call.id).load();
        };
        if (submitted.cancelled) {
            ++tally_.cancelled;
            tally_.wrong += runs() != 0 || task.is_finished();
            return;
        }
        if (!pool_.board.wait(task, Deadline(20s))) {
            ++tally_.hung;
            submitted.task.release();
            return;
        }
        tally_.wrong += task.times_finished() != 1;
        if (task.end == TaskEnd::failed) {
            ++tally_.lost;
            tally_.wrong += runs() > 1;
            return;
        }
        ++tally_.delivered;
        const auto bytes = task.message.bytes();
        bool right = runs() == 1 && bytes.size() == submitted.call.result_size;
        for (const std::byte b : bytes) {
            right = right && b == pattern(submitted.call.id);
        }
        tally_.wrong += !right;
    }

    TestPool& pool_;
    RunCounts& counts_;
    Tally& tally_;
    std::mt19937 random_;
};

struct Scenario {
    BoardOptions board{.workers = 4};
    int clients = 2;
    std::uint32_t max_burst = 3000;
    std::uint64_t least_tasks = 20'000;
    std::uint64_t deaths = 0;  // go on until so many workers died
    bool kill_at_random = false;
    bool stop_at_random = false;
    TestPool::FaultPlan plan{};
    std::chrono::milliseconds at_most = 60s;
};

/// Runs the scenario and checks what must hold for each.
void play(const Scenario& scenario) {
    RunCounts counts;
    Tally tally;
    std::atomic<std::uint32_t> ids{0};
    std::atomic<bool> over{false};
    std::uint64_t deaths = 0;
    BoardStatistics statistics;
    {
        TestPool pool(scenario.board, counts, scenario.plan);
        const Deadline deadline(scenario.at_most);
        const auto more = [&] {
            return !deadline.expired() && tally.hung == 0 &&
                   ids < max_tasks - 20 * scenario.max_burst &&
                   (ids < scenario.least_tasks || pool.deaths < scenario.deaths);
        };
        std::vector<std::thread> clients;
        for (int i = 0; i < scenario.clients; ++i) {
            clients.emplace_back([&, i] {
                Client client(pool, counts, tally, 77U + static_cast<unsigned>(i));
                while (more()) {
                    client.burst(ids, 1 + client.random(scenario.max_burst));
                }
            });
        }
        std::thread killer([&] {
            std::mt19937 random(5);
            while (!over && scenario.kill_at_random) {
                std::this_thread::sleep_for(
                    std::chrono::microseconds(200 + random() % 1200)
                );
                pool.send(
                    static_cast<std::uint32_t>(random() % scenario.board.workers),
                    SIGKILL
                );
            }
        });
        std::thread stopper([&] {
            std::mt19937 random(6);
            while (!over && scenario.stop_at_random) {
                const auto worker =
                    static_cast<std::uint32_t>(random() % scenario.board.workers);
                pool.send(worker, SIGSTOP);
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
                pool.send(worker, SIGCONT);
            }
        });
        for (std::thread& client : clients) {
            client.join();
        }
        over = true;
        killer.join();
        stopper.join();
        deaths = pool.deaths;
        statistics = pool.board.statistics();
        CHECK(pool.calls->bytes_in_use() == 0);
    }
    CAPTURE(
        tally.total.load(),
        tally.delivered.load(),
        tally.lost.load(),
        tally.cancelled.load(),
        deaths,
        statistics.given_back,
        statistics.guard_ticks
    );
    CHECK(tally.hung == 0);
    CHECK(tally.wrong == 0);
    CHECK(tally.delivered + tally.lost + tally.cancelled == tally.total);
    CHECK(tally.lost <= deaths);
    CHECK(statistics.submitted == statistics.concluded);
    CHECK(statistics.backlog == 0);
    CHECK(statistics.stray_results == 0);
    if (scenario.deaths > 0 && scenario.kill_at_random) {
        // A sanitizer makes each new worker slower, and the tasks run out first.
        const bool slow = test::under_asan || test::under_tsan;
        CHECK(deaths >= (slow ? scenario.deaths / 10 : scenario.deaths));
    }
}

BoardOptions sleepy(std::uint32_t workers) {
    return {.workers = workers, .policy = {.pauses = 5, .yields = 2}};
}

}  // namespace

TEST_CASE("Board: every task ends once, with its own result", "[board]") {
    for (const std::uint32_t workers : {1U, 2U, 4U, 8U}) {
        play({.board = {.workers = workers}, .clients = 3});
    }
}

TEST_CASE("Board: eight slots are enough for any number of tasks", "[board]") {
    play({.board = {.workers = 4, .slots = 8}, .clients = 3});
    play(
        {.board = {.workers = 4, .slots = 8, .policy = {.pauses = 0, .yields = 0}},
         .clients = 3}
    );
}

TEST_CASE("Board: workers beyond the first 64 share the work", "[board]") {
    play({.board = sleepy(70), .least_tasks = 5'000});
}

// A worker that replaces a dead one is forked beside the clients' threads: one of these
// may hold AddressSanitizer's allocator then, and the child would wait for it for ever.

TEST_CASE(
    "Board: kills at random moments lose only running tasks", "[board][no-asan]"
) {
    play({.deaths = 100, .kill_at_random = true});
}

TEST_CASE("Board: kills and stops of workers that sleep a lot", "[board][no-asan]") {
    play(
        {.board = sleepy(4),
         .max_burst = 40,
         .least_tasks = 2'000,
         .deaths = 60,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE("Board: kills and stops with eight slots", "[board][no-asan]") {
    BoardOptions board = sleepy(4);
    board.slots = 8;
    play(
        {.board = board,
         .clients = 3,
         .deaths = 60,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE("Board: two thousand kills, with stops", "[board][.stress][no-asan]") {
    play({.clients = 3, .deaths = 2000, .kill_at_random = true, .stop_at_random = true}
    );
    play(
        {.board = sleepy(4),
         .max_burst = 40,
         .deaths = 1000,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE(
    "Board: a kill between any two operations loses only what ran", "[board][no-asan]"
) {
    const bool sleeps = GENERATE(false, true);
    for (std::size_t at = 0; at < failpoints.size(); ++at) {
        const std::string point = failpoints[at];
        // Nobody gets past a point at which all are killed the first time: let some by.
        auto random = std::make_shared<std::mt19937>(static_cast<unsigned>(at));
        Scenario scenario;
        scenario.board = sleeps ? sleepy(3) : BoardOptions{.workers = 3};
        scenario.max_burst = 40;
        scenario.least_tasks = 500;
        scenario.deaths = 10;
        scenario.at_most = 200ms;
        scenario.plan = [random, point] {
            return test::Failpoint{point, 2 + static_cast<int>((*random)() % 20)};
        };
        INFO(point << (sleeps ? ", sleepy" : ", busy"));
        play(scenario);
    }
}
