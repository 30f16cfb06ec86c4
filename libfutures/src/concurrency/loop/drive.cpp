// SPDX-License-Identifier: BSL-1.0
// How the main task's loop is run, and what becomes of it when it is not run to its
// end.
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "concurrency/backend.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/loop/asio_driver.hpp"
#include "concurrency/loop/mock_driver.hpp"
#include "concurrency/run.hpp"
#include "concurrency/testing.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace concurrency::detail {

namespace asio = boost::asio;

namespace {

// Threads of the pool behind Backend::thread_pool. One would do, since tasks run one at
// a time: the other is for what else the program gives to the executor.
constexpr std::size_t pool_threads = 2;

void refuse_inside_loop() {
    if (Loop::running() != nullptr) {
        throw RuntimeError("run() inside a loop: await the coroutine, or call "
                           "run_async()");
    }
}

/// A loop with its driver, for as long as the main task runs.
class Drive {
public:
    /// The clock may be null.
    Drive(
        MainTask& main, const asio::any_io_executor& executor, testing::MockClock* clock
    )
        : main_(main),
          driver_(std::make_shared<AsioDriver>(executor)),
          loop_(with_clock(*driver_, clock)) {}

    Drive(const Drive&) = delete;
    Drive& operator=(const Drive&) = delete;

    /// Whatever still waits is destroyed where it waits.
    ~Drive() {
        detach();
        if (!loop_.stopped()) {
            loop_.abandon();
            main_.destroy();
            loop_.tell_end();
        }
    }

    /// Before the executor runs, or in another thread than it does: the loop is touched
    /// there from now on. AsioDriver::attach() tells of the arguments.
    void start(std::function<void()> on_stop, std::function<void()> on_drop = {}) {
        driver_->attach(loop_, std::move(on_stop), std::move(on_drop));
        main_.start(loop_, &loop_.root(), 0);
    }

    void detach() noexcept { driver_->detach(); }

    bool ended() const noexcept { return loop_.stopped(); }

    /// For a thread that is to wait for the executor.
    void refuse_inside_executor() const {
        if (driver_->is_known_to_be_here()) {
            throw RuntimeError("run() in a handler of the executor that is to run the "
                               "tasks would wait for itself");
        }
    }

    void fail(std::exception_ptr error) noexcept { loop_.fail(std::move(error)); }

    /// Throws what has failed beside the tasks.
    void check() const {
        if (loop_.error()) {
            std::rethrow_exception(loop_.error());
        }
    }

private:
    Driver& with_clock(Driver& driver, testing::MockClock* clock) {
        return clock == nullptr ? driver : mock_driver_.emplace(driver, *clock);
    }

    MainTask& main_;
    std::shared_ptr<AsioDriver> driver_;
    std::optional<MockDriver> mock_driver_;
    Loop loop_;
};

/// Where run() waits for a loop that others run. Shared by both: the executor may still
/// be inside when run() has gone on.
class Ending {
public:
    enum class How { pending, ended, dropped, stopped };

    void set_ended() { set(How::ended); }

    /// The executor destroys what it holds: run() is told, and the executor's end waits
    /// until run() needs it no more.
    void drop() {
        if (std::this_thread::get_id() == waiter_) {
            return;  // it could not even be posted
        }
        set(How::dropped);
        const mp::detail::MutexLock lock(mutex_);
        while (!is_let_go_) {
            changed_.wait(mutex_);
        }
    }

    /// The context may be null; its stop is looked for now and then.
    How wait(const asio::io_context* context) {
        const mp::detail::MutexLock lock(mutex_);
        while (how_ == How::pending) {
            if (context == nullptr) {
                changed_.wait(mutex_);
            } else if (!changed_.wait_until(mutex_, mp::Deadline(recheck))) {
                how_ = context->stopped() ? How::stopped : How::pending;
            }
        }
        return how_;
    }

    void let_go() {
        const mp::detail::MutexLock lock(mutex_);
        is_let_go_ = true;
        changed_.notify_all();
    }

private:
    static constexpr std::chrono::milliseconds recheck{100};

    void set(How how) {
        const mp::detail::MutexLock lock(mutex_);
        how_ = how;
        changed_.notify_all();
    }

    const std::thread::id waiter_ = std::this_thread::get_id();
    mp::detail::Mutex mutex_;
    mp::detail::CondVar changed_;
    How how_ MP_GUARDED_BY(mutex_) = How::pending;
    bool is_let_go_ MP_GUARDED_BY(mutex_) = false;
};

/// The io_context that an executor belongs to, if that can be seen.
const asio::io_context* context_of(const asio::any_io_executor& executor) noexcept {
    using Plain = asio::io_context::executor_type;
    if (const auto* plain = executor.target<Plain>()) {
        return &plain->context();
    }
    if (const auto* strand = executor.target<asio::strand<Plain>>()) {
        return &strand->get_inner_executor().context();
    }
    return nullptr;
}

void drive_in_context(
    MainTask& main, asio::io_context& context, testing::MockClock* clock
) {
    refuse_inside_loop();
    Drive drive(main, context.get_executor(), clock);
    const auto work = asio::make_work_guard(context);
    drive.start([&context] { context.stop(); });
    context.restart();
    while (!drive.ended()) {
        try {
            context.run();
            break;
        } catch (...) {
            drive.fail(std::current_exception());
        }
    }
    if (drive.ended()) {
        context.restart();
    }
    drive.check();
    if (!drive.ended()) {
        throw RuntimeError("the io_context was stopped before the main task had ended");
    }
}

void drive_in_executor(
    MainTask& main, const asio::any_io_executor& executor, testing::MockClock* clock
) {
    refuse_inside_loop();
    const auto ending = std::make_shared<Ending>();

    struct LetGo {
        Ending& ending;

        ~LetGo() { ending.let_go(); }
    };

    const LetGo let_go{*ending};  // when the loop is gone
    Drive drive(main, executor, clock);
    drive.refuse_inside_executor();
    drive.start([ending] { ending->set_ended(); }, [ending] { ending->drop(); });
    if (ending->wait(context_of(executor)) != Ending::How::ended) {
        drive.detach();
        if (!drive.ended()) {
            throw RuntimeError("the executor was stopped before the main task had ended"
            );
        }
    }
    drive.check();
}

void drive_in_backend(MainTask& main, Backend backend, testing::MockClock* clock) {
    switch (backend) {
    case Backend::io_context: {
        asio::io_context context(1);
        drive_in_context(main, context, clock);
        break;
    }
    case Backend::thread_pool: {
        refuse_inside_loop();
        asio::thread_pool pool(pool_threads);
        drive_in_executor(main, asio::make_strand(pool.get_executor()), clock);
        pool.join();
        break;
    }
    case Backend::system_executor:
        drive_in_executor(main, asio::make_strand(asio::system_executor()), clock);
        break;
    }
}

}  // namespace

void drive(MainTask& main, asio::io_context& context) {
    drive_in_context(main, context, nullptr);
}

void drive(MainTask& main, const asio::any_io_executor& executor) {
    drive_in_executor(main, executor, nullptr);
}

void drive(MainTask& main, asio::io_context& context, testing::MockClock& clock) {
    drive_in_context(main, context, &clock);
}

void drive(MainTask& main, Backend backend) {
    drive_in_backend(main, backend, nullptr);
}

void drive(MainTask& main, Backend backend, testing::MockClock& clock) {
    drive_in_backend(main, backend, &clock);
}

void drive_in_own_thread(MainTask& main, Backend backend) {
    std::exception_ptr error;
    std::thread([&] {
        try {
            drive(main, backend);
        } catch (...) {
            error = std::current_exception();
        }
    }).join();
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace concurrency::detail
