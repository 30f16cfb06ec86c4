// SPDX-License-Identifier: BSL-1.0
#include "mp/finalize.hpp"

#include "mp/detail/creator.hpp"

#include "os/fork_lock.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <atomic>
#include <compare>
#include <cstdint>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace mp {

namespace {

enum class State { waiting, running, done };

// The order of places is the order of running.
struct Place {
    int priority = 0;
    std::uint64_t number = 0;

    friend bool operator<(const Place& a, const Place& b) noexcept {
        return a.priority != b.priority ? a.priority > b.priority : a.number > b.number;
    }
};

}  // namespace

struct Finalize::Record {
    // Set once.
    std::optional<Place> place;
    detail::Creator creator;
    std::shared_ptr<Record> kept_before;
    // Own synchronisation: the callback belongs to the thread that moves `state` away
    // from waiting.
    std::atomic<State> state = State::waiting;
    std::atomic<std::thread::id> runner{};
    std::function<void()> callback;

    bool is_ours() const noexcept { return creator.is_here(); }

    bool claim(State next) noexcept {
        State expected = State::waiting;
        return state.compare_exchange_strong(expected, next);
    }

    bool run();
    void run_logged() noexcept;
    void wait_while_running() const noexcept;
};

// Those with a priority, for the exit.
struct detail::FinalizerTable {
    using Records = std::map<Place, std::shared_ptr<Finalize::Record>>;

    os::ForkLock lock;
    std::uint64_t last_number MP_GUARDED_BY(lock) = 0;
    Records* records MP_GUARDED_BY(lock) = new Records;
    std::uint64_t process MP_GUARDED_BY(lock) = process_token();
    // The process whose exit runs us.
    std::atomic<std::uint64_t> at_exit_of = 0;
    // The callbacks of ancestors. Destroying one may run code that is theirs alone, so
    // they stay for ever.
    std::map<std::uint64_t, Records*> inherited MP_GUARDED_BY(lock);
    std::shared_ptr<Finalize::Record> kept MP_GUARDED_BY(lock);

    static FinalizerTable& instance() {
        static auto& table = *new FinalizerTable;
        return table;
    }

    void set_inherited_aside() MP_REQUIRES(lock) {
        if (process != process_token()) {
            inherited.emplace(process, records);
            records = new Records;
            process = process_token();
        }
    }

    void add(const std::shared_ptr<Finalize::Record>& record, int priority) {
        const os::ForkLockHeld held(lock);
        set_inherited_aside();
        record->place = Place{.priority = priority, .number = ++last_number};
        records->emplace(*record->place, record);
    }

    void register_at_exit() {
        if (at_exit_of.exchange(process_token()) == process_token()) {
            return;
        }
        add_exit_part(ExitPhase::finalizers, [] { run_finalizers(0); });
        add_exit_part(ExitPhase::late_finalizers, [] { run_finalizers(std::nullopt); });
        ensure_exit_step();
    }

    void remove(Place place) {
        const os::ForkLockHeld held(lock);
        set_inherited_aside();
        records->erase(place);
    }

    void keep(std::shared_ptr<Finalize::Record> record) noexcept {
        const os::ForkLockHeld held(lock);
        record->kept_before = std::move(kept);
        kept = std::move(record);
    }

    std::uint64_t newest() {
        const os::ForkLockHeld held(lock);
        return last_number;
    }

    // The next one to run; null when none is left.
    std::shared_ptr<Finalize::Record>
    take(std::optional<int> min_priority, std::uint64_t newest_number) {
        const os::ForkLockHeld held(lock);
        set_inherited_aside();
        for (auto it = records->begin(); it != records->end(); ++it) {
            const auto [priority, number] = it->first;
            if (min_priority && priority < *min_priority) {
                break;
            }
            if (number <= newest_number) {
                std::shared_ptr<Finalize::Record> record = std::move(it->second);
                records->erase(it);
                return record;
            }
        }
        return nullptr;
    }
};

namespace {

// Before main, so that no fork can fall into the making.
[[maybe_unused]] const bool finalizers_made_early =
    (detail::FinalizerTable::instance(), true);

}  // namespace

bool Finalize::Record::run() {
    if (!claim(State::running)) {
        return false;
    }
    runner = std::this_thread::get_id();

    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    struct Finish {
        Record& record;

        ~Finish() {
            record.state = State::done;
            record.state.notify_all();
        }
    } const finish{*this};

    const std::function<void()> once = std::move(callback);
    once();
    return true;
}

void Finalize::Record::run_logged() noexcept {
    try {
        run();
    } catch (const std::exception& e) {
        detail::log_error(std::string("a finalizer failed: ") + e.what());
    } catch (...) {
        detail::log_error("a finalizer failed with something that is no exception");
    }
}

void Finalize::Record::wait_while_running() const noexcept {
    // A callback may destroy its own handle: that must not wait for itself.
    while (state == State::running && runner.load() != std::this_thread::get_id()) {
        state.wait(State::running);
    }
}

Finalize::Finalize(std::function<void()> callback, std::optional<int> priority) {
    if (!callback) {
        throw std::invalid_argument("Finalize needs a callback");
    }
    detail::FinalizerTable& table = detail::FinalizerTable::instance();
    record_ = std::make_shared<Record>();
    record_->callback = std::move(callback);
    if (priority) {
        table.register_at_exit();
        table.add(record_, *priority);
    }
}

Finalize& Finalize::operator=(Finalize&& other) noexcept {
    if (this != &other) {
        release();
        record_ = std::move(other.record_);
    }
    return *this;
}

Finalize::~Finalize() {
    release();
}

void Finalize::release() noexcept {
    if (!record_) {
        return;
    }
    if (!record_->is_ours()) {
        detail::FinalizerTable::instance().keep(std::move(record_));
        return;
    }
    if (record_->place) {
        detail::FinalizerTable::instance().remove(*record_->place);
    }
    record_->run_logged();
    record_->wait_while_running();
    record_.reset();
}

bool Finalize::operator()() {
    if (!record_ || !record_->is_ours()) {
        return false;
    }
    if (record_->place) {
        detail::FinalizerTable::instance().remove(*record_->place);
    }
    // The callback may destroy this handle.
    const std::shared_ptr<Record> record = record_;
    return record->run();
}

void Finalize::cancel() noexcept {
    if (!record_ || !record_->is_ours()) {
        return;
    }
    if (record_->place) {
        detail::FinalizerTable::instance().remove(*record_->place);
    }
    if (record_->claim(State::done)) {
        record_->callback = nullptr;
    }
    record_->wait_while_running();
}

bool Finalize::still_active() const noexcept {
    return record_ && record_->is_ours() && record_->state == State::waiting;
}

void detail::run_finalizers(std::optional<int> min_priority) noexcept {
    detail::FinalizerTable& table = detail::FinalizerTable::instance();
    const std::uint64_t newest = table.newest();
    while (const auto record = table.take(min_priority, newest)) {
        record->run_logged();
    }
}

}  // namespace mp
