// SPDX-License-Identifier: BSL-1.0
// StateBase, State<R>: what the handles of one future share, and its executor fills.
// Python:  the fields of concurrent.futures.Future with its condition variable.
// Differs: no lock and no condition: one word says everything (docs/protocols/
//          future_state.md); an executor derives its task from it, so that a task with
//          its future is one allocation.
// Threads: any.
// Owns:    the value or exception; it lives while a handle or the executor counts it.
#pragma once

#include "futures/detail/copying.hpp"
#include "futures/detail/state_word.hpp"
#include "futures/detail/stop_answer.hpp"
#include "futures/detail/watcher.hpp"
#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace futures::detail {

class DependsOn;
class PoolThread;
class Ready;
class Work;

/// What may settle the future.
enum class Settler : std::uint8_t {
    anybody,   ///< a plain future: set_result() and the like
    executor,  ///< only the executor that made it
};

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class StateBase : private StateWord {
public:
    /// References: one for the caller, and one more for the executor, if any.
    explicit StateBase(Settler settler) noexcept
        : word_(
              settler == Settler::executor ? 2 * one_reference | owned_bit
                                           : one_reference
          ) {}

    StateBase(const StateBase&) = delete;
    StateBase& operator=(const StateBase&) = delete;

    // -- counting

    void add_reference() noexcept {
        // order: relaxed, because the caller already holds a reference.
        word_.fetch_add(one_reference, std::memory_order_relaxed);
    }

    void drop_reference() noexcept {
        // order: acquire pairs with the release of other droppers, so that dispose()
        // comes after all they did. With one reference left no other thread can change
        // it.
        Word word = word_.load(std::memory_order_acquire);
        do {
            if ((word & lent_bit) != 0) [[unlikely]] {
                drop_lent();
                return;
            }
            if (references(word) == 1) {
                dispose();
                return;
            }
            // order: as above.
        } while (!word_.compare_exchange_weak(
            word,
            word - one_reference,
            std::memory_order_acq_rel,
            std::memory_order_acquire
        ));
    }

    /// From now on what waits for it may have handles of it. When only those are left,
    /// nobody can complete it, and what waits is told. Requires: a plain future.
    void lend() noexcept {
        // order: relaxed, whoever drops a reference has seen it or comes before.
        word_.fetch_or(lent_bit, std::memory_order_relaxed);
    }

    /// The caller's is the only reference, but for that of an executor which has told
    /// all it had to tell: it may move the value out.
    bool is_sole() noexcept {
        // order: acquire pairs with drop_reference(), so that what others did is over.
        const auto word = word_.load(std::memory_order_acquire);
        return references(word) == 1 ||
               ((word & telling_bit) != 0 && references(word) == 2 && all_are_told());
    }

    /// An executor of this program settles it, not set_result().
    bool is_owned() const noexcept {
        // order: relaxed, it never changes.
        return (word_.load(std::memory_order_relaxed) & owned_bit) != 0;
    }

    // -- looking

    FutureState state() const noexcept;

    /// Cancelled or finished.
    bool done() const noexcept {
        // order: acquire pairs with conclude(), so that the value is visible.
        return is_done(word_.load(std::memory_order_acquire));
    }

    /// Finished, or cancelled and its executor knows: what wait() counts as done.
    bool told() const noexcept {
        // order: acquire pairs with conclude(), so that the value is visible.
        return is_told(word_.load(std::memory_order_acquire));
    }

    /// Finished with an exception, as far as is known before materialise().
    bool raised() const noexcept {
        // order: acquire pairs with conclude(), so that the exception is visible.
        return (word_.load(std::memory_order_acquire) & raised_bit) != 0;
    }

    /// The task of a thread pool whose future this is; null for others.
    virtual Work* as_work() noexcept { return nullptr; }

    /// What it waits for before there can be anything to run; null for most.
    virtual DependsOn* depends_on() noexcept { return nullptr; }

    /// The thread whose stack makes its value right now (Making::this_thread()), as far
    /// as that is known.
    virtual const void* maker() const noexcept { return nullptr; }

    bool has_callbacks() const noexcept {
        // order: relaxed, a hint; conclude() looks again.
        return (word_.load(std::memory_order_relaxed) & callback_bit) != 0;
    }

    // -- waiting

    /// Waits until done(); false when the deadline passed first. Never runs callbacks.
    /// Throws DeadlockError when it would wait for ever.
    bool wait(const mp::Deadline& deadline) { return done() || wait_or_help(deadline); }

    /// Like wait(), but a cancelled future counts only when its executor knows it.
    bool wait_until_told(const mp::Deadline& deadline);

    /// Requires: finished. Makes sure that the value or exception is there; throws
    /// nothing: a failing materialise() becomes the exception.
    void settle_value();

    /// The exception, or null. Requires: finished and settle_value() was called.
    const std::exception_ptr& exception() const noexcept { return exception_; }

    // -- changing, for handles

    /// True when it is cancelled now or was before. Runs callbacks.
    bool cancel();

    /// The same, but `callbacks` says whether run_all_callbacks() is still to be
    /// called.
    bool cancel_before_callbacks(bool& callbacks);

    /// The same for a call that may have begun: it is stopped, if its executor can.
    /// True when it is cancelled, now or as soon as it has ended.
    bool cancel_running();

    /// A callback; told at once, in this thread, if already done.
    void add_callback(std::unique_ptr<Watcher> callback);

    /// A waiter; false when there is nothing to wait for (finished, or cancelled and
    /// notified). It must be removed before it is destroyed.
    bool add_waiter(Watcher& waiter);
    void remove_waiter(Watcher& waiter) noexcept;

    /// A callback or an edge; false when it is done. An edge may be removed: false when
    /// a thread has taken it out to tell it.
    bool try_add(Watcher& watcher) noexcept;

    /// What try_add() will touch, for one who will add to many. A guess.
    void fetch_last_watcher() const noexcept { __builtin_prefetch(last_watcher()); }

    bool remove_edge(Watcher& edge) noexcept;

    /// Python's Future.set_running_or_notify_cancel(), for plain futures.
    bool set_running_or_notify_cancel();

    /// "<Future at 0x... state=finished raised std::bad_alloc>"
    std::string describe(const char* value_type) const;

    // -- changing, for the executor

    /// Pending to running; false when it was cancelled meanwhile. Executors that know
    /// by other means (observe) need not call it.
    bool start() noexcept {
        // order: relaxed load, the exchange below decides.
        auto word = word_.load(std::memory_order_relaxed);
        while (state_of(word) == FutureState::pending) {
            // order: acquire pairs with cancel(), so that its effects are visible
            // when the exchange fails.
            if (word_.compare_exchange_weak(
                    word,
                    with_state(word, FutureState::running),
                    std::memory_order_acquire
                )) {
                return true;
            }
        }
        return false;
    }

    /// Running to pending: it is to be run again, and can be cancelled until start().
    void pause() noexcept {
        // order: relaxed load, the exchange below decides.
        auto word = word_.load(std::memory_order_relaxed);
        // order: release pairs with cancel(), so that discard_work() has the work
        // alone.
        while (!word_.compare_exchange_weak(
            word,
            with_state(word, FutureState::pending),
            std::memory_order_release,
            std::memory_order_relaxed
        )) {
        }
    }

    void store_exception(std::exception_ptr exception) noexcept {
        exception_ = std::move(exception);
    }

    /// Publishes the outcome, wakes and tells all that wait. Without callbacks it also
    /// drops the executor's reference and returns false: the state may be gone. With
    /// callbacks it returns true, and the caller sees to it that run_callbacks() and
    /// then end_telling() are called by a thread that may run user code.
    [[nodiscard]] bool conclude(Outcome outcome) noexcept {
        // order: relaxed load, the exchange below decides.
        auto word = word_.load(std::memory_order_relaxed);
        while ((word & (sleeper_bit | watched_bit | lock_bit)) == 0) {
            // order: release pairs with done() and state(), so that the value is
            // visible; acquire pairs with drop_reference(), for dispose().
            if (word_.compare_exchange_weak(
                    word,
                    settled(word, outcome) - one_reference,
                    std::memory_order_acq_rel,
                    std::memory_order_relaxed
                )) {
                if (references(word) == 1) {
                    dispose();
                }
                return false;
            }
        }
        return conclude_watched(outcome);
    }

    /// conclude(), the callbacks, and end_telling().
    void finish(Outcome outcome) {
        if (conclude(outcome)) {
            run_callbacks_and_end();
        }
    }

    /// What is to be done after conclude() returned true, in a thread of the program.
    void run_callbacks_and_end() {
        const Telling telling{*this};
        run_all_callbacks();
    }

    /// In order, each once, outside any lock, and what depends on them in this thread.
    /// What one throws is logged. One that ends its thread leaves the others for the
    /// next call.
    void run_callbacks();

    /// After conclude() returned true, in a thread that may not run the program's code
    /// for it: tells what may be told at once, as far as nothing comes before it. True
    /// when that was all.
    bool tell_at_once();

    /// Drops the executor's reference, after conclude() returned true.
    void end_telling() noexcept {
        // order: as in drop_reference().
        if (references(
                word_.fetch_sub(one_reference | telling_bit, std::memory_order_acq_rel)
            ) == 1) {
            dispose();
        }
    }

    /// For a thread of the program: the others are run before the thread ends.
    void run_all_callbacks();

    // -- changing, for plain futures

    /// Takes the right to store a value; throws InvalidStateError when the future is
    /// done, owned by an executor, or being settled by another thread. `call` is for
    /// its text.
    void begin_settling(const char* call);
    void abandon_settling() noexcept;
    void end_settling(Outcome outcome);

    /// Marks the value as moved out; throws InvalidStateError the second time.
    void take_value();
    /// Throws InvalidStateError when the value was moved out.
    void check_not_taken() const;

protected:
    virtual ~StateBase();

    // -- hooks of an executor

    /// Pending, and cancel() was called: true when it will certainly never run, and
    /// always the same answer then. From there on the executor does not conclude it.
    virtual bool request_cancel() noexcept { return true; }

    /// Not pending, as far as cancel() saw: stops the call.
    virtual StopAnswer request_stop() { return StopAnswer::no; }

    /// Once, in the thread that cancelled it: the work can be thrown away.
    virtual void discard_work() noexcept {}

    /// Pending or running, for executors that keep that elsewhere.
    virtual FutureState observe() const noexcept { return FutureState::pending; }

    /// Sleeps. A thread with duties goes on with them, which may throw.
    virtual bool wait_until_done(const mp::Deadline& deadline);

    /// Outcome::raw_*: called once, by the first thread that asks. Calls emplace() or
    /// store_exception(); what it throws becomes the exception.
    virtual void materialise() {}

    /// Once, when the first callback or waiter is added to a future that is not done.
    virtual void watched() noexcept {}

    /// The last reference is gone.
    virtual void dispose() noexcept { delete this; }

    /// Spins briefly, then sleeps on the word; until done, or until told.
    bool sleep_until(bool told, const mp::Deadline& deadline);

    /// Requires: no concurrent access, or conclude() with Outcome::value was called.
    bool has_value() const noexcept {
        // order: relaxed, see above.
        const auto word = word_.load(std::memory_order_relaxed);
        return state_of(word) == FutureState::finished &&
               (word & (raised_bit | raw_bit)) == 0;
    }

private:
    /// The executor's reference, dropped at the end.
    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    struct Telling {
        StateBase& state;

        ~Telling() { state.end_telling(); }
    };

    [[noreturn]] void throw_invalid(const char* call) const;
    bool conclude_watched(Outcome outcome) noexcept;
    void tell_waiters() noexcept;
    void tell_waiters_of_cancel() noexcept;
    bool wait_or_help(const mp::Deadline& deadline);
    bool sleep_as(PoolThread* thread, bool told, const mp::Deadline& deadline);
    bool all_are_told() noexcept;
    Watcher* take_callback() noexcept;
    void run_listed(Ready& ready);
    void give_up() noexcept;
    void drop_lent() noexcept;
    Watcher* unlink_lent() noexcept;
    static void tell_lost(Watcher* first) noexcept;
    void sleep_on(Word seen, const mp::Deadline& deadline) noexcept;
    void wake_all() noexcept;
    Word lock_list() noexcept;
    void unlock_list(Word set) noexcept;
    void append(Watcher& watcher) noexcept;
    void prepend(Watcher& watcher) noexcept;
    Watcher* first_watcher() const noexcept;

    Watcher* last_watcher() const noexcept {
        // order: relaxed, under the list lock, or to guess.
        return last_watcher_.load(std::memory_order_relaxed);
    }

    void set_last_watcher(Watcher* watcher) noexcept {
        // order: relaxed, under the list lock.
        last_watcher_.store(watcher, std::memory_order_relaxed);
    }

    void fetch_watchers() const noexcept;
    void unlink(Watcher& watcher) noexcept;
    mp::detail::FutexWord& futex_word() noexcept;

    // Own synchronisation.
    std::atomic<Word> word_;
    // Guarded by lock_bit of word_.
    std::atomic<Watcher*> last_watcher_{nullptr};
    // Written before the state becomes finished, or by the thread that decodes.
    std::exception_ptr exception_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// A state with room for a value.
template <class R>
// NOLINTNEXTLINE(*-virtual-class-destructor,*-member-init): deletes itself; raw room
class State : public StateBase {
    static_assert(std::is_object_v<R> && std::is_same_v<R, std::decay_t<R>>);

public:
    using StateBase::StateBase;
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    /// Requires: the right to settle (start(), begin_settling(), materialise()).
    template <class... Args>
    void emplace(Args&&... args) {
        ::new (static_cast<void*>(room_)) R(std::forward<Args>(args)...);
    }

    /// emplace() of what `make()` returns, without a move.
    template <class Make>
    void emplace_from(Make&& make) {
        ::new (static_cast<void*>(room_)) R(std::forward<Make>(make)());
    }

    /// Requires: finished, without exception, settle_value() was called.
    R& value() noexcept { return *std::launder(reinterpret_cast<R*>(room_)); }

    auto& copy_way() noexcept { return copy_way_; }

protected:
    ~State() override {
        if (has_value()) {
            value().~R();
        }
    }

private:
    using CopyWayOf =
        std::conditional_t<copying<R> == Copying::unknown, CopyWay<R>, NoCopyWay>;

    alignas(R) std::byte room_[sizeof(R)];
    [[no_unique_address]] CopyWayOf copy_way_;  // own synchronisation
};

template <>
class State<void> : public StateBase {
public:
    using StateBase::StateBase;

    void emplace() noexcept {}

    template <class Make>
    void emplace_from(Make&& make) {
        static_cast<void>(std::forward<Make>(make)());
    }
};

}  // namespace futures::detail
