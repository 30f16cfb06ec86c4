// SPDX-License-Identifier: BSL-1.0
// Threads: run_sync(), calls in a pool and their futures, and what threads start in the
// loop. When they come back is not for the model to say; that they do is.
#include "futures/errors.hpp"
#include "futures/thread_pool.hpp"

#include "concurrency/blocking_portal.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/from_thread.hpp"
#include "concurrency/future_streams.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/submit.hpp"
#include "concurrency/to_thread.hpp"
#include "fuzz_world.hpp"

#include <chrono>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::OnCancel;
using concurrency::Task;

namespace test {

namespace {

using Counters = std::shared_ptr<FuzzCounters>;

/// While a thread makes a call.
class Running {
public:
    explicit Running(Counters counters, bool limited)
        : counters_(std::move(counters)), limited_(limited) {
        ++counters_->begun;
        if (limited_) {
            const int running = ++counters_->running;
            int most = counters_->most_running;
            while (most < running &&
                   !counters_->most_running.compare_exchange_weak(most, running)) {
            }
        }
    }

    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    ~Running() {
        if (limited_) {
            --counters_->running;
        }
        ++counters_->ended;
    }

private:
    Counters counters_;
    bool limited_;
};

/// What a call in a thread does.
enum class Work { nothing, yields, takes_a_while, fails };

int work(const Counters& counters, bool limited, Work what, int number) {
    const Running running(counters, limited);
    switch (what) {
    case Work::nothing:
        break;
    case Work::yields:
        std::this_thread::yield();
        break;
    case Work::takes_a_while: {
        const auto end =
            std::chrono::steady_clock::now() + std::chrono::microseconds(50);
        while (std::chrono::steady_clock::now() < end) {
        }
        break;
    }
    case Work::fails:
        throw FuzzError();
    }
    return number;
}

Work any_work(Fuzz& fuzz) {
    return static_cast<Work>(fuzz.below(4));
}

OnCancel any_policy(Fuzz& fuzz) {
    return static_cast<OnCancel>(fuzz.below(3));
}

// Awaits a call whose result is `number`, unless it fails or is cancelled.
Task<> await_call(Fuzz& fuzz, FuzzPlace at, Task<int> call, Work what, int number) {
    FuzzWait wait{at.node};
    const bool before = fuzz.cancelled(*at.node);
    fuzz.begin(wait);
    std::exception_ptr error;
    int result = 0;
    try {
        result = co_await std::move(call);
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.end(wait);
    if (end_of(error) == FuzzEnd::cancelled) {
        fuzz.expect(
            before || wait.cancelled_at != concurrency::inf,
            "a call in a thread was cancelled where nothing is"
        );
        std::rethrow_exception(error);
    }
    if (error) {
        fuzz.expect(
            what == Work::fails && count_errors(error) == 1, "the error of a call"
        );
    } else {
        fuzz.expect(
            what != Work::fails && result == number, "the result of a call in a thread"
        );
    }
}

Task<> call_in_thread(Fuzz& fuzz, FuzzPlace at) {
    const Work what = any_work(fuzz);
    const int number = fuzz.world.next_item++;
    concurrency::ThreadOptions options;
    options.on_cancel = fuzz.chance(60) ? OnCancel::wait : OnCancel::abandon;
    const bool limited = fuzz.chance(60);
    options.limiter = limited ? &fuzz.world.thread_limiter : nullptr;
    return await_call(
        fuzz,
        at,
        concurrency::run_sync(
            options, work, fuzz.world.counters, limited, what, number
        ),
        what,
        number
    );
}

Task<> call_in_pool(Fuzz& fuzz, FuzzPlace at) {
    const Work what = any_work(fuzz);
    const int number = fuzz.world.next_item++;
    const OnCancel on_cancel = any_policy(fuzz);
    futures::ThreadPoolExecutor& pool = *fuzz.world.pool;
    const Counters& counters = fuzz.world.counters;
    return await_call(
        fuzz,
        at,
        fuzz.chance(50)
            ? concurrency::run_in(pool, on_cancel, work, counters, false, what, number)
            : concurrency::await_future(
                  pool.submit(work, counters, false, what, number), on_cancel
              ),
        what,
        number
    );
}

// The futures of some calls, as they get done.
Task<> await_several(Fuzz& fuzz, FuzzPlace at) {
    std::vector<futures::Future<int>> calls;
    const int count = 1 + fuzz.below(3);
    calls.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        calls.push_back(
            fuzz.world.pool->submit(work, fuzz.world.counters, false, Work::yields, i)
        );
    }
    auto stream = concurrency::as_completed(calls);
    int sum = 0;
    int given = 0;
    FuzzWait wait{at.node};
    const bool before = fuzz.cancelled(*at.node);
    fuzz.begin(wait);
    std::exception_ptr error;
    try {
        while (auto future = co_await stream.next()) {
            sum += future->result();
            ++given;
        }
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.check_open_end(wait, before, end_of(error) == FuzzEnd::cancelled);
    fuzz.expect(
        stream.left() + static_cast<std::size_t>(given) ==
            static_cast<std::size_t>(count),
        "futures that were given"
    );
    if (error) {
        std::rethrow_exception(error);
    }
    fuzz.expect(sum == count * (count - 1) / 2, "the results of several calls");
}

// -- From threads into the loop.

// A coroutine with steps in a scope of its own, which does not see that its future was
// cancelled: the model does not either.
Task<int> be_guest(Fuzz& fuzz, int number) {
    FuzzNode node;
    node.shield = node.keeps_shield = true;
    CancelScope scope({.shield = true});
    node.scope = &scope;
    auto body = [&]() -> Task<> {
        fuzz.enter(node);
        co_await fuzz.steps({&node, nullptr}, fuzz.below(4));
    };
    std::exception_ptr error;
    try {
        co_await scope.run(body);
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.leave(node);
    --fuzz.world.outside;
    if (error) {
        std::rethrow_exception(error);
    }
    co_return number;
}

// One that waits until it is cancelled, or a few turns.
Task<int> be_patient(int number) {
    for (int i = 0; i < 3; ++i) {
        co_await concurrency::checkpoint();
    }
    co_return number;
}

/// How a call into the loop ended, as its thread saw it.
enum class CallEnd { result, cancelled, refused, wrong };

template <class Call>
CallEnd end_of_call(Call call, int number) {
    try {
        return call() == number ? CallEnd::result : CallEnd::wrong;
    } catch (const futures::CancelledError&) {
        return CallEnd::cancelled;
    } catch (const Cancelled&) {
        return CallEnd::cancelled;
    } catch (const concurrency::RuntimeError&) {
        return CallEnd::refused;
    } catch (...) {
        return CallEnd::wrong;
    }
}

// A thread that gives the loop a coroutine, and perhaps cancels it; nobody waits for
// the thread.
void submit_one(
    const Counters& counters,
    const concurrency::EventLoopToken& loop,
    Fuzz& fuzz,
    int number,
    bool with_steps,
    bool cancels
) {
    const Running running(counters, false);
    const CallEnd end = end_of_call(
        [&] {
            auto future =
                with_steps ? concurrency::submit(loop, be_guest, std::ref(fuzz), number)
                           : concurrency::submit(loop, be_patient, number);
            if (cancels) {
                future.cancel();
            }
            return future.result();
        },
        number
    );
    try {
        loop.run_sync_soon([&fuzz, end, cancels] {
            --fuzz.world.outside;
            fuzz.expect(
                end == CallEnd::result || (cancels && end == CallEnd::cancelled),
                "the end of a coroutine that a thread has submitted"
            );
        });
    } catch (const concurrency::RuntimeError&) {
        static_cast<void>(0);  // the loop was stopped
    }
}

Task<> submit_from_thread(Fuzz& fuzz, FuzzPlace) {
    // When its future is cancelled, a guest goes on without it.
    const bool with_steps = fuzz.chance(70);
    fuzz.world.outside += with_steps ? 2 : 1;
    static_cast<void>(fuzz.world.pool->submit(
        submit_one,
        fuzz.world.counters,
        concurrency::current_token(),
        std::ref(fuzz),
        fuzz.world.next_item++,
        with_steps,
        fuzz.chance(40)
    ));
    co_return;
}

// -- A call in a thread that calls back.

struct CallingBack {
    Fuzz& fuzz;
    FuzzNode node;  // what the thread starts lies there
    bool has_run = false;
};

Task<int> call_back(CallingBack& calling) {
    co_await concurrency::checkpoint();
    calling.has_run = true;
    co_await calling.fuzz.steps({&calling.node, nullptr}, 2);
    co_return 1;
}

int work_with_loop(const Counters& counters, CallingBack& calling, int number) {
    const Running running(counters, false);
    const int one = concurrency::from_thread::run(call_back, std::ref(calling));
    concurrency::from_thread::run_sync([&] { --number; });
    concurrency::from_thread::check_cancelled();
    return number + one;
}

// Throws Cancelled as soon as a scope around is: the thread tells.
Task<> call_in_thread_and_back(Fuzz& fuzz, FuzzPlace at) {
    CallingBack calling{fuzz, {}};
    calling.node.parent = at.node;
    const int number = fuzz.world.next_item++;
    Task<int> call = concurrency::run_sync(
        work_with_loop, fuzz.world.counters, std::ref(calling), number
    );
    co_await await_call(fuzz, at, std::move(call), Work::nothing, number);
}

// -- A portal.

struct Portal {
    Fuzz& fuzz;
    FuzzGroup group;
    int count;
};

Task<int> be_called(Portal& portal, int number) {
    ++portal.group.alive;
    std::exception_ptr error;
    try {
        co_await portal.fuzz.steps({&portal.group.node, nullptr}, 3);
    } catch (...) {
        error = std::current_exception();
    }
    --portal.group.alive;
    portal.fuzz.note_end(portal.group, error);
    if (error) {
        std::rethrow_exception(error);
    }
    co_return number;
}

// In a thread. The number of calls that ended as they may.
int use_portal(
    const Counters& counters, const concurrency::BlockingPortal& door, Portal& portal
) {
    const Running running(counters, false);
    int good = 0;
    for (int i = 0; i < portal.count; ++i) {
        const CallEnd end = end_of_call(
            [&] {
                return i % 2 == 0 ? door.call(be_called, std::ref(portal), i)
                                  : door.start_task_soon(be_called, std::ref(portal), i)
                                        .result();
            },
            i
        );
        good += end != CallEnd::wrong;
    }
    return good;
}

Task<> run_portal(Fuzz& fuzz, FuzzPlace at) {
    Portal portal{fuzz, {}, 1 + fuzz.below(3)};
    FuzzGroup& group = portal.group;
    group.node.parent = at.node;
    concurrency::BlockingPortal door;
    auto body = [&](concurrency::BlockingPortal& open) -> Task<> {
        std::exception_ptr error;
        try {
            Task<int> using_it = concurrency::run_in(
                *fuzz.world.pool,
                use_portal,
                fuzz.world.counters,
                std::cref(open),
                std::ref(portal)
            );
            const int good = co_await std::move(using_it);
            fuzz.expect(good == portal.count, "calls by a portal");
        } catch (...) {
            error = std::current_exception();
        }
        fuzz.note_end(group, error);
        if (error) {
            std::rethrow_exception(error);
        }
    };
    fuzz.enter(group.node);
    std::exception_ptr error;
    try {
        co_await door.run(body);
    } catch (...) {
        error = std::current_exception();
    }
    const bool is_called = fuzz.called(group.node);
    const bool around = fuzz.cancelled(*at.node);
    fuzz.leave(group.node);
    fuzz.expect(group.alive == 0, "a call by a portal outlives it");
    fuzz.expect(!group.has_error, "an error in a portal");
    fuzz.expect(
        concurrency::is_cancelled(error) ==
            (group.has_cancellation && !(is_called && !around)),
        "what comes out of a portal"
    );
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace

FuzzOperations thread_operations() {
    return {
        {"run_sync", 9, call_in_thread},
        {"a call in a pool", 8, call_in_pool},
        {"as_completed", 3, await_several},
        {"submit from a thread", 4, submit_from_thread},
        {"from_thread", 3, call_in_thread_and_back},
        {"a portal", 3, run_portal},
    };
}

}  // namespace test
