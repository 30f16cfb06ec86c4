// SPDX-License-Identifier: BSL-1.0
// Operations of Boost.Asio as something that a task awaits: sockets, timers, resolvers,
// and what is made of them, Boost.Beast for one.
// Python:  none; AnyIO brings sockets of its own, which wait in the same way.
// Differs: co_await socket.async_read_some(buffer, use_task) gives the number of bytes,
//          and throws boost::system::system_error; with boost::asio::as_tuple(use_task)
//          it gives the error as a value beside them.
// Threads: a task of a loop. The object that is used may belong to any executor: the
//          handler comes in the loop's.
// Throws:  Cancelled; RuntimeError outside a loop.
// Read next: src/concurrency/asio/asio_operation.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/letter.hpp"
#include "concurrency/detail/loop_executor.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/detail/waiter.hpp"
#include "concurrency/errors.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrency {

/// The executor that runs this loop: one handler at a time, never beside a task. For
/// the sockets and timers of a task. Throws RuntimeError outside a loop, and in one
/// that has no executor of Boost.Asio.
boost::asio::any_io_executor get_executor();

namespace detail {

/// An operation under way, which belongs to its handler and to the task that awaits it:
/// whichever goes first, the other finds it in order. In the loop's executor, if
/// nothing else is said.
class AsioOperation : private Letter,
                      public std::enable_shared_from_this<AsioOperation> {
public:
    explicit AsioOperation(LoopTask& task);

    AsioOperation(const AsioOperation&) = delete;
    AsioOperation& operator=(const AsioOperation&) = delete;

    const LoopExecutor& executor() const noexcept { return executor_; }

    boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    // -- For the task.

    bool finished() const noexcept { return finished_; }

    /// The task sleeps until the handler is called or dropped.
    void park() noexcept { parked_ = true; }

    /// Asks the operation to end early; it ends as it would otherwise.
    void cancel() noexcept;

    /// The task is gone, or has its result.
    void leave() noexcept;

    /// Whether an operation that ended with this error did so because it was cancelled.
    bool ended_by_cancel(const boost::system::error_code& error) const noexcept;
    bool ended_by_cancel(const std::exception_ptr& error) const noexcept;

    /// Throws the Cancelled of the task.
    [[noreturn]] void throw_cancelled() const;

    /// Throws if there is no result.
    void check() const;

    // -- For the handler, in any thread.

    /// The result is there, or `error` in its place.
    void finish(std::exception_ptr error) noexcept;

    /// The handler was destroyed and never called.
    void drop() noexcept;

protected:
    ~AsioOperation() = default;

private:
    enum class How { pending, called, dropped };

    void settle(How how) noexcept;
    void settle_here() noexcept;

    void arrive(Loop& loop) noexcept override;
    void come_back() noexcept override;

    const LoopExecutor executor_;
    boost::asio::cancellation_signal signal_;
    LoopTask* task_;  // null when nobody awaits it
    bool parked_ = false;
    bool finished_ = false;
    bool cancelled_ = false;

    // Written by the handler, read by the task when it has finished.
    How how_ = How::pending;
    std::exception_ptr error_;

    std::shared_ptr<AsioOperation> on_its_way_;  // to the loop: this
};

template <class... Values>
class AsioOperationFor final : public AsioOperation {
public:
    using AsioOperation::AsioOperation;

    std::optional<std::tuple<Values...>> result;
};

/// What the operation calls at its end: once, and through its executor. Called
/// elsewhere, it sends its result there.
template <class... Values>
class AsioHandler {
public:
    using executor_type = LoopExecutor;
    using cancellation_slot_type = boost::asio::cancellation_slot;

    explicit AsioHandler(std::shared_ptr<AsioOperationFor<Values...>> operation
    ) noexcept
        : operation_(std::move(operation)) {}

    AsioHandler(AsioHandler&&) noexcept = default;
    AsioHandler& operator=(AsioHandler&&) = delete;

    ~AsioHandler() {
        if (operation_) {
            operation_->drop();
        }
    }

    executor_type get_executor() const noexcept { return operation_->executor(); }

    cancellation_slot_type get_cancellation_slot() const noexcept {
        return operation_->slot();
    }

    template <class... Given>
    void operator()(Given&&... given) {
        const auto operation = std::exchange(operation_, nullptr);
        std::exception_ptr error;
        try {
            operation->result.emplace(std::forward<Given>(given)...);
        } catch (...) {
            error = std::current_exception();
        }
        operation->finish(std::move(error));
    }

private:
    std::shared_ptr<AsioOperationFor<Values...>> operation_;
};

/// The task waits for the handler. Cancelled, it waits on, for an operation that was
/// asked to end.
class AsioWait final : public Park {
public:
    AsioWait(LoopTask& task, AsioOperation& operation) noexcept
        : Park(task, "asio_op"), operation_(operation) {}

    void await_suspend(std::coroutine_handle<> frame) {
        Park::await_suspend(frame);
        operation_.park();
    }

    bool abort() noexcept override {
        operation_.cancel();
        return false;
    }

private:
    AsioOperation& operation_;
};

/// The coroutine's hold on the operation.
class AsioHold {
public:
    explicit AsioHold(AsioOperation& operation) noexcept : operation_(operation) {}

    AsioHold(const AsioHold&) = delete;
    AsioHold& operator=(const AsioHold&) = delete;

    ~AsioHold() { operation_.leave(); }

private:
    AsioOperation& operation_;
};

/// How a handler's values become what co_await gives: no value is void, several are a
/// tuple.
template <class... Values>
struct AsioValue {
    using type = std::tuple<Values...>;

    static type from(const AsioOperation&, std::tuple<Values...>&& values) {
        return std::move(values);
    }
};

template <>
struct AsioValue<> {
    using type = void;

    static void from(const AsioOperation&, std::tuple<>&&) {}
};

template <class Value>
struct AsioValue<Value> {
    using type = Value;

    static type from(const AsioOperation&, std::tuple<Value>&& values) {
        return std::get<0>(std::move(values));
    }
};

/// An error goes first: it is thrown, and the values follow without it.
template <class Error, class... Values>
struct AsioChecked {
    using type = typename AsioValue<Values...>::type;

    static type
    from(const AsioOperation& operation, std::tuple<Error, Values...>&& values) {
        const Error& error = std::get<0>(values);
        if (operation.ended_by_cancel(error)) {
            operation.throw_cancelled();
        }
        if constexpr (std::is_same_v<Error, std::exception_ptr>) {
            if (error) {
                std::rethrow_exception(error);
            }
        } else if (error) {
            throw boost::system::system_error(error);
        }
        return std::apply(
            [&](Error&, Values&... others) {
                return AsioValue<Values...>::from(
                    operation, std::tuple<Values...>(std::move(others)...)
                );
            },
            values
        );
    }
};

template <class... Values>
struct AsioValue<boost::system::error_code, Values...>
    : AsioChecked<boost::system::error_code, Values...> {};

template <>
struct AsioValue<boost::system::error_code> : AsioChecked<boost::system::error_code> {};

template <class... Values>
struct AsioValue<std::exception_ptr, Values...>
    : AsioChecked<std::exception_ptr, Values...> {};

template <>
struct AsioValue<std::exception_ptr> : AsioChecked<std::exception_ptr> {};

/// Whether a cancelled operation had done something before, which the caller must get.
template <class Value>
bool has_done_something(const Value& value) noexcept {
    if constexpr (std::is_integral_v<Value>) {
        return value != 0;
    } else {
        return false;
    }
}

/// The values as they are, the error among them; but Cancelled is thrown where nothing
/// had been done before.
template <class... Values>
struct AsioArguments {
    using type = std::tuple<Values...>;

    static type from(const AsioOperation&, type&& values) { return std::move(values); }
};

template <class Error, class... Values>
struct AsioArgumentsWithError {
    using type = std::tuple<Error, Values...>;

    static type from(const AsioOperation& operation, type&& values) {
        const bool progress = std::apply(
            [](const Error&, const Values&... others) {
                return (false || ... || has_done_something(others));
            },
            values
        );
        if (!progress && operation.ended_by_cancel(std::get<0>(values))) {
            operation.throw_cancelled();
        }
        return std::move(values);
    }
};

template <class... Values>
struct AsioArguments<boost::system::error_code, Values...>
    : AsioArgumentsWithError<boost::system::error_code, Values...> {};

template <class... Values>
struct AsioArguments<std::exception_ptr, Values...>
    : AsioArgumentsWithError<std::exception_ptr, Values...> {};

/// as_tuple, which makes one value of all of them.
template <class... Values>
struct AsioArguments<std::tuple<boost::system::error_code, Values...>> {
    using type = std::tuple<boost::system::error_code, Values...>;

    static type from(const AsioOperation& operation, std::tuple<type>&& values) {
        return AsioArguments<boost::system::error_code, Values...>::from(
            operation, std::move(std::get<0>(values))
        );
    }
};

template <class... Values>
struct AsioValue<std::tuple<boost::system::error_code, Values...>>
    : AsioArguments<std::tuple<boost::system::error_code, Values...>> {};

template <class Signature>
struct AsioSignature;

template <class... Args>
struct AsioSignature<void(Args...)> {
    using Value = AsioValue<std::decay_t<Args>...>;
    using Arguments = AsioArguments<std::decay_t<Args>...>;
    using Operation = AsioOperationFor<std::decay_t<Args>...>;
    using Handler = AsioHandler<std::decay_t<Args>...>;
};

/// Result is the Value or the Arguments of the signature.
template <class Signature, class Result, class Initiation, class... Args>
Task<typename Result::type> perform_asio(Initiation initiation, Args... args) {
    using Of = AsioSignature<Signature>;
    LoopTask& task = this_task();
    task.check_cancelled();
    const auto operation = std::make_shared<typename Of::Operation>(task);
    const AsioHold hold(*operation);
    std::move(initiation)(typename Of::Handler(operation), std::move(args)...);
    if (!operation->finished() && task.cancel_pending()) {
        operation->cancel();  // the initiation did that
    }
    if (operation->finished()) {
        Passed passed(task);
        co_await passed;
    } else {
        AsioWait wait(task, *operation);
        co_await wait;
    }
    operation->check();
    co_return Result::from(*operation, std::move(*operation->result));
}

}  // namespace detail

/// Awaits an operation that is written by hand: `initiation` is called with its handler
/// and starts it. What the handler gets comes out as a tuple, an error as a value:
/// const auto [error, count] = co_await asio_op<void(boost::system::error_code,
/// std::size_t)>([&](auto handler) { socket.async_read_some(buffer,
/// std::move(handler)); }). For a signature void(std::tuple<error_code, ...>), as
/// boost::asio::as_tuple makes it, that tuple.
///
/// When the task is cancelled the operation is asked to end (`cancellation_type::all`),
/// and its handler is waited for; an operation that cannot be cancelled runs to its
/// end. If it ended with operation_aborted, Cancelled is thrown; if it ended otherwise,
/// its result or error is given, and the next checkpoint throws: nothing that has
/// arrived is lost. A composed operation (boost::asio::async_read) may be ended when it
/// has done a part: that comes out, operation_aborted and the number of bytes. Aborted
/// by another than its scope, closing the socket for one, it is an error like others.
/// Throws RuntimeError when the handler is destroyed and was never called.
template <class Signature, class Initiation>
auto asio_op(Initiation&& initiation) {
    detail::check_awaited_callable<Initiation>();
    using Result = typename detail::AsioSignature<Signature>::Arguments;
    return detail::perform_asio<Signature, Result, std::decay_t<Initiation>>(
        std::forward<Initiation>(initiation)
    );
}

/// A completion token: an operation of Boost.Asio that gets it gives a Task, which
/// starts the operation when it is awaited, and is cancelled as with asio_op(). An
/// error is thrown: an error_code (as boost::system::system_error) or exception_ptr
/// that stands first among the handler's arguments. What follows is returned: one value
/// as it is, several as a tuple. With boost::asio::as_tuple(use_task) errors are
/// values: const auto [error, count] = co_await socket.async_read_some(buffer,
/// as_tuple(use_task)); and of a composed operation that is cancelled half-way the
/// number of bytes comes out, which is lost otherwise.
struct UseTask {};

/// The token itself.
inline constexpr UseTask use_task{};

}  // namespace concurrency

namespace boost::asio {

/// How an operation of Boost.Asio gives a Task.
template <class... Args>
class async_result<concurrency::UseTask, void(Args...)> {
    using Result = typename concurrency::detail::AsioSignature<void(Args...)>::Value;

public:
    /// What the operation's function returns.
    using return_type = concurrency::Task<typename Result::type>;

    /// A Task that starts the operation when it is awaited.
    template <class Initiation, class... InitiationArgs>
    static return_type
    initiate(Initiation initiation, concurrency::UseTask, InitiationArgs... args) {
        return concurrency::detail::
            perform_asio<void(Args...), Result, Initiation, InitiationArgs...>(
                std::move(initiation), std::move(args)...
            );
    }
};

}  // namespace boost::asio
