// SPDX-License-Identifier: BSL-1.0
// How the main task's loop is run, and what becomes of it when it is not run to its
// end.
#include "mp/thread_safety.hpp"

#include "concurrency/backend.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/loop/asio_driver.hpp"
#include "concurrency/loop/mock_driver.hpp"
#include "concurrency/run.hpp"
#include "concurrency/testing.hpp"
#include "os/new_fd.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

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
        if (!loop_.stopped() || loop_.is_abandoned()) {
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
    enum class How { pending, ended, dropped };

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

    /// For as long as it takes: an io_context that is stopped tells nobody, and may be
    /// run again.
    How wait() {
        const mp::detail::MutexLock lock(mutex_);
        while (how_ == How::pending) {
            changed_.wait(mutex_);
        }
        return how_;
    }

    void let_go() {
        const mp::detail::MutexLock lock(mutex_);
        is_let_go_ = true;
        changed_.notify_all();
    }

private:
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

/// What can be seen to run two handlers at once cannot run tasks.
void refuse_executor_that_is_not_serial(const asio::any_io_executor& executor) {
    const auto* pool = executor.target<asio::thread_pool::executor_type>();
    if (executor.target<asio::system_executor>() != nullptr ||
        (pool != nullptr && asio::query(*pool, asio::execution::occupancy) != 1)) {
        throw ValueError("this executor may run several handlers at once: give run() a "
                         "strand of it (boost::asio::make_strand)");
    }
}

void drive_in_executor(
    MainTask& main, const asio::any_io_executor& executor, testing::MockClock* clock
) {
    refuse_inside_loop();
    refuse_executor_that_is_not_serial(executor);
    const auto ending = std::make_shared<Ending>();

    struct LetGo {
        Ending& ending;

        ~LetGo() { ending.let_go(); }
    };

    const LetGo let_go{*ending};  // when the loop is gone
    Drive drive(main, executor, clock);
    drive.refuse_inside_executor();
    drive.start([ending] { ending->set_ended(); }, [ending] { ending->drop(); });
    if (ending->wait() != Ending::How::ended) {
        drive.detach();
        if (!drive.ended()) {
            throw RuntimeError(
                "the executor was destroyed before the main task had ended"
            );
        }
    }
    drive.check();
}

/// Its descriptors take no place of a standard stream that is closed: what others write
/// there would end up in them.
void make_reactor(const asio::any_io_executor& executor) {
    const mp::os::ClosedStreamsHeld held;
    const asio::steady_timer timer(executor);
}

void drive_in_backend(MainTask& main, Backend backend, testing::MockClock* clock) {
    switch (backend) {
    case Backend::io_context: {
        asio::io_context context(1);
        make_reactor(context.get_executor());
        drive_in_context(main, context, clock);
        break;
    }
    case Backend::thread_pool: {
        refuse_inside_loop();
        asio::thread_pool pool(pool_threads);
        make_reactor(pool.get_executor());
        drive_in_executor(main, asio::make_strand(pool.get_executor()), clock);
        pool.join();
        break;
    }
    case Backend::system_executor:
        make_reactor(asio::system_executor());
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
