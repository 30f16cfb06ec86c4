// SPDX-License-Identifier: BSL-1.0
// DerivedState, Derivation: a future whose value is made of others', in the thread that
// completes the last of them.
// Python:  none; what mpi4py's then(), compose() and collect() give.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "futures/detail/dependencies.hpp"
#include "futures/detail/making.hpp"
#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/state_ptr.hpp"
#include "futures/errors.hpp"
#include "futures/future.hpp"
#include "mp/detail/forced_unwind.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// What a future gets whose function ended its thread by pthread_exit().
std::exception_ptr thread_ended_in_function();

/// What a future gets whose function returned one that depends on it.
std::exception_ptr chain_leads_back();
/// It depends on itself, as far as is known.
bool depends_on_itself(StateBase& state) noexcept;

/// The state of a future that is derived from others.
template <class R>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class DerivedState final : public State<R>, public Recycled {
public:
    DerivedState() : State<R>(Settler::executor) {}

    DerivedState(const DerivedState&) = delete;
    DerivedState& operator=(const DerivedState&) = delete;

    void begin_to_depend(Dependencies& on) noexcept { on_.set(on); }

    /// Requires: start() was called.
    void depends_no_more() noexcept { on_.clear(); }

    DependsOn* depends_on() noexcept override { return &on_; }

    /// Its value comes from this thread, from now on; or, null, from elsewhere.
    void set_maker(const void* thread) noexcept {
        // order: relaxed, only this thread asks whether it is itself.
        maker_.store(thread, std::memory_order_relaxed);
    }

    const void* maker() const noexcept override {
        // order: relaxed, as above.
        return maker_.load(std::memory_order_relaxed);
    }

    /// The value that `make` returns, or what it throws.
    template <class Make>
    void settle(Make&& make) {
        auto outcome = Outcome::value;
        try {
            this->emplace_from(std::forward<Make>(make));
        } catch (const mp::detail::ForcedUnwind&) {
            fail(thread_ended_in_function());
            throw;
        } catch (...) {
            this->store_exception(std::current_exception());
            outcome = Outcome::exception;
        }
        this->finish(outcome);
    }

    void fail(std::exception_ptr exception) {
        this->store_exception(std::move(exception));
        this->finish(Outcome::exception);
    }

private:
    ~DerivedState() override = default;

    void discard_work() noexcept override { on_.get()->leave(); }

    DependsOn on_;
    std::atomic<const void*> maker_{nullptr};
};

/// Makes the value of a DerivedState.
template <class R>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class Derivation : public Dependencies {
public:
    /// Requires: all were added, and live until this returns.
    Future<R> begin() {
        Future<R> future{StatePtr<State<R>>(handle_.release())};
        derived_->begin_to_depend(*this);
        watch();
        drop();  // the caller's
        return future;
    }

protected:
    Derivation(std::size_t count, Needs needs)
        : Dependencies(count, needs, false),
          derived_(new DerivedState<R>()),
          handle_(derived_.get()) {}

    /// Calls settle() or fail() of the state, now or later.
    virtual void make(DerivedState<R>& derived) = 0;

    /// Destroys what make() would need.
    virtual void let_go() noexcept {}

    void go_on() final {
        if (derived_->start()) {
            derived_->depends_no_more();
            const Making making;
            derived_->set_maker(Making::this_thread());
            make(*derived_.release());
        } else {
            left();
        }
    }

    void stop(Obstacle obstacle) final {
        if (obstacle.kind == Obstacle::Kind::cancelled) {
            derived_->cancel();
            left();
        } else if (derived_->start()) {
            let_go();
            derived_->depends_no_more();
            derived_.release()->fail(
                obstacle.cause != nullptr ? std::move(obstacle.cause)
                                          : dependency_error(obstacle)
            );
        } else {
            left();
        }
    }

    void left() noexcept final {
        let_go();
        derived_ = {};
    }

    /// A handle of one that is done.
    template <class T>
    Future<T> future(std::size_t number) noexcept {
        return Future<T>(StatePtr<State<T>>(static_cast<State<T>*>(&take(number))));
    }

private:
    StatePtr<DerivedState<R>> derived_;  // its executor's reference
    StatePtr<DerivedState<R>> handle_;   // that of the handle, until begin()
};

/// U of Future<Future<U>>, and so on.
template <class R>
struct Unwrapped {
    using type = R;
};
template <class R>
struct Unwrapped<Future<R>> : Unwrapped<R> {};

/// Hands the outcome of a future on to another one, which runs.
template <class R, class T>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class Forward final : public Dependencies {
public:
    /// The executor's reference of `derived` comes along.
    static void start(DerivedState<R>& derived, const Future<T>& from) {
        if (from.id() == nullptr) {
            derived.fail(std::make_exception_ptr(InvalidStateError(
                "the function returned a Future handle that was moved from"
            )));
            return;
        }
        const DependenciesPtr<Forward> forward(new Forward(derived));
        forward->add(from.base(), true);
        derived.set_maker(nullptr);
        derived.begin_to_depend(*forward);
        if (from.done()) {
            forward->watch();
            return;
        }
        derived.add_reference();
        const StatePtr<DerivedState<R>> kept(&derived);
        forward->watch();
        // Of those that close a cycle together, the last one finds it.
        if (depends_on_itself(derived) && forward->leave()) {
            derived.depends_no_more();
            derived.fail(chain_leads_back());
        }
    }

private:
    explicit Forward(DerivedState<R>& derived)
        : Dependencies(1, Needs::ends, false), derived_(derived) {}

    void go_on() override {
        derived_.depends_no_more();
        Future<T> from{StatePtr<State<T>>(static_cast<State<T>*>(&take(0)))};
        if constexpr (std::is_same_v<R, T>) {
            derived_.settle([&]() -> R { return std::move(from).result(); });
        } else {
            std::optional<T> next;
            try {
                next.emplace(std::move(from).result());
            } catch (...) {
                derived_.fail(std::current_exception());
                return;
            }
            Forward<R, typename T::value_type>::start(derived_, *next);
        }
    }

    void stop(Obstacle obstacle) override {
        derived_.depends_no_more();
        derived_.fail(dependency_error(obstacle));
    }

    void left() noexcept override {}

    DerivedState<R>& derived_;
};

}  // namespace futures::detail
