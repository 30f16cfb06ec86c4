// SPDX-License-Identifier: BSL-1.0
#include "process_pool/board_worker.hpp"

#include "mp/detail/event_fd.hpp"
#include "mp/detail/futex.hpp"
#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/fence.hpp"
#include "process_pool/call_trailer.hpp"
#include "process_pool/memory_size.hpp"
#include "process_pool/worker_wake.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::Search;

namespace {

/// The parent is told of a finished task after so many idle pauses, if no next task
/// came.
constexpr int untold_pauses = 20;

}  // namespace

BoardWorker::BoardWorker(
    BoardView view,
    std::byte* call_arena,
    ResultArenaWriter& results,
    BoardWorkerOptions options
) noexcept
    : view_(view),
      header_(view.header()),
      control_(view.control(options.index)),
      slots_(view.slots()),
      ring_(view.ring(options.index)),
      call_arena_(call_arena),
      results_(results),
      options_(options),
      mask_(view.slot_count() - 1),
      trims_(view.header().trims.load()),
      store_(results),
      out_(store_) {}

void BoardWorker::initializer_failed(std::span<const std::byte> exception) {
    const BlockReference block{results_.allocate(exception.size()), exception.size()};
    mp::detail::copy_block(
        results_.memory() + block.offset, exception.data(), exception.size()
    );
    const auto sum = put_entry(
        ResultItem::of_initializer,
        {0, ResultKind::exception, MessagePlace::arena},
        {block.offset, block.size}
    );
    ring_->sum = sum.value();
    ring_->position = ResultItem::of_initializer;
    control_.phase.store(WorkerPhase::initializer_failed);
}

WorkerEnd BoardWorker::run(TaskRunner& runner) noexcept {
    control_.phase.store(WorkerPhase::working);
    if (header_.ready_wanted.load() != 0) {
        mp::detail::EventFd::ring(options_.doorbell);
    }
    auto end = WorkerEnd::in_order;
    std::uint64_t left = options_.max_tasks;
    // order: nothing depends on when a worker sees that it may end.
    while (header_.stop.load(std::memory_order_relaxed) == 0) {
        // order: as above; sleep() looks with the order it needs.
        if (control_.retire.load(std::memory_order_relaxed) != 0 && hears_of_end()) {
            control_.phase.store(WorkerPhase::retired);
            break;
        }
        auto position = claim();
        if (!position) {
            position = search();
        }
        if (untold_) {
            tell();  // never start a task while a finished one is untold
        }
        if (!position) {
            give_memory_back();
            sleep();
            continue;
        }
        no_longer_idle();
        if (!execute(*position, runner) || results_.is_damaged()) {
            control_.phase.store(WorkerPhase::damaged);
            end = WorkerEnd::damaged;
            break;
        }
        if ((left != 0 && --left == 0) || is_too_large()) {
            control_.phase.store(WorkerPhase::retired);
            break;
        }
    }
    if (untold_) {
        tell();
    }
    return end;
}

/// The parent may have taken it back by now; from here on it cannot.
bool BoardWorker::hears_of_end() noexcept {
    MP_FAILPOINT("worker: end seen");
    std::uint32_t told = retire_told;
    return control_.retire.compare_exchange_strong(told, retire_heard) || told != 0;
}

/// The whole of a time without a task counts, however often something else woke it.
mp::Deadline BoardWorker::idle_deadline() noexcept {
    if (options_.idle_timeout.is_forever() || idle_told_) {
        return mp::Deadline(mp::forever);
    }
    if (!idle_end_) {
        idle_end_.emplace(options_.idle_timeout);
    }
    return *idle_end_;
}

/// The parent decides whether it is to end.
void BoardWorker::tell_idle() noexcept {
    idle_told_ = true;
    MP_FAILPOINT("worker: before idle is told");
    control_.idled.store(1);
    mp::detail::EventFd::ring(options_.doorbell);
    MP_FAILPOINT("worker: idle told");
}

void BoardWorker::no_longer_idle() noexcept {
    if (idle_end_) [[unlikely]] {
        idle_end_.reset();
        if (std::exchange(idle_told_, false)) {
            control_.idled.store(0);
        }
    }
}

bool BoardWorker::is_too_large() const noexcept {
    return options_.max_memory != 0 && memory_size().resident > options_.max_memory;
}

// ---- claiming

std::optional<std::uint64_t> BoardWorker::claim() noexcept {
    for (;;) {
        // order: pairs with whoever moved it, so that the tail is not older than it.
        std::uint64_t head = header_.head.load(std::memory_order_acquire);
        if (head >= seen_tail_) {
            // order: pairs with Board::place.
            seen_tail_ = header_.tail.load(std::memory_order_acquire);
            if (head >= seen_tail_) {
                return std::nullopt;
            }
        }
        auto& word = slots_[head & mask_].word;
        // order: pairs with Board::place, so that the message is seen.
        SlotWord seen = word.load(std::memory_order_acquire);
        MP_FAILPOINT("worker: slot seen");
        if (seen == slot_word(head, SlotKind::ready)) {
            MP_FAILPOINT("worker: before claim");
            // order: pairs with Board::cancel and other workers: one of us gets it.
            if (word.compare_exchange_strong(
                    seen,
                    slot_word(head, SlotKind::claimed, options_.index),
                    std::memory_order_acq_rel,
                    std::memory_order_acquire
                )) {
                MP_FAILPOINT("worker: after claim");
                std::uint64_t expected = head;
                // order: pairs with the load above. Another process that moves it is as
                // right.
                header_.head.compare_exchange_strong(
                    expected,
                    head + 1,
                    std::memory_order_release,
                    std::memory_order_relaxed
                );
                MP_FAILPOINT("worker: head moved");
                return head;
            }
        }
        // A position below the tail that is not ready was taken, cancelled or skipped,
        // for ever: help the head over it. So nobody who is killed blocks it.
        MP_FAILPOINT("worker: before help");
        // order: as above.
        header_.head.compare_exchange_strong(
            head, head + 1, std::memory_order_release, std::memory_order_relaxed
        );
        MP_FAILPOINT("worker: after help");
        // order: as in run(). Where the tail was written over, this takes for ever.
        if (header_.stop.load(std::memory_order_relaxed) != 0) {
            return std::nullopt;
        }
    }
}

std::optional<std::uint64_t> BoardWorker::search() noexcept {
    auto& searching = header_.searching.word_of(options_.index);
    searching.fetch_or(WorkerSet::bit_of(options_.index));
    MP_FAILPOINT("worker: search begun");
    std::optional<std::uint64_t> position;
    const bool while_yielding = spin(position);
    if (!position) {
        return std::nullopt;  // sleep() ends the search
    }
    // order: a hint.
    const int submitter = header_.submit_cpu.load(std::memory_order_relaxed);
    aside_.found(while_yielding, submitter);
    found_by_search();
    return position;
}

/// Looks for work without sleeping. Returns whether it was found in the yields.
bool BoardWorker::spin(std::optional<std::uint64_t>& position) noexcept {
    Search search(spins_, options_.policy);
    const auto for_us = [this] {
        constexpr std::uint64_t plenty = 8;
        // order: a hint: it was our own submitter that used the time.
        return header_.tail.load(std::memory_order_relaxed) -
                   header_.head.load(std::memory_order_relaxed) >=
               plenty;
    };
    for (int turn = 1; !position && search.again(for_us); ++turn) {
        position = claim();
        if (!position && untold_ && (turn > untold_pauses || search.yielding())) {
            tell();
        }
    }
    if (!position && search.last_look_due()) {
        position = claim();
    }
    if (position) {
        search.found();
    }
    return search.yielding();
}

void BoardWorker::found_by_search() noexcept {
    auto& mine = header_.searching.word_of(options_.index);
    mine.fetch_and(~WorkerSet::bit_of(options_.index));
    MP_FAILPOINT("worker: stopped searching");
    bool others = false;
    bool sleepers = false;
    const std::size_t words = BoardView::set_words(view_.places_used());
    for (std::size_t i = 0; i < words; ++i) {
        others = others || header_.searching.word(i).load() != 0;
        sleepers = sleepers || header_.sleepers.word(i).load() != 0;
    }
    // The parent relied on us to search: what we leave behind, somebody else must see.
    if (!others && sleepers && !looks_empty()) {
        wake_one_worker(view_);
    }
}

bool BoardWorker::looks_empty() const noexcept {
    return header_.head.load() >= header_.tail.load();
}

void BoardWorker::sleep() noexcept {
    const auto bit = WorkerSet::bit_of(options_.index);
    auto& sleepers = header_.sleepers.word_of(options_.index);
    MP_FAILPOINT("worker: before park");
    control_.park.store(0);
    MP_FAILPOINT("worker: after park");
    sleepers.fetch_or(bit);
    MP_FAILPOINT("worker: after sleeper bit");
    header_.searching.word_of(options_.index).fetch_and(~bit);
    MP_FAILPOINT("worker: after search end");
    // order: pairs with Board::wake_for_work.
    mp::os::full_fence();
    MP_FAILPOINT("worker: before sleep");
    const bool stays = header_.stop.load() == 0 && control_.retire.load() == 0;
    if (looks_empty() && stays && header_.trims.load() == trims_) {
        const mp::Deadline deadline = idle_deadline();
        futex_wait(control_.park, 0, deadline, FutexScope::shared);
        if (deadline.expired()) {
            tell_idle();
        }
    }
    MP_FAILPOINT("worker: after sleep");
    sleepers.fetch_and(~bit);
    MP_FAILPOINT("worker: bit cleared");
}

void BoardWorker::give_memory_back() noexcept {
    // order: relaxed, sleep() looks again.
    const std::uint32_t trims = header_.trims.load(std::memory_order_relaxed);
    if (trims_ != trims) {
        trims_ = trims;
        MP_FAILPOINT("worker: before the trim");
        results_.trim(header_.trim_threshold);
        MP_FAILPOINT("worker: after the trim");
    }
}

// ---- running

/// A call is done, and what it used is about to be destroyed. Killed from here on, the
/// worker leaves the result; the parent takes no notice of it before.
class BoardWorker::ReadyResult final : public mp::detail::CallDone {
public:
    ReadyResult(BoardWorker& worker, std::uint64_t position) noexcept
        : worker_(worker), position_(position) {}

    void call_done() noexcept override {
        worker_.put_result(position_, ResultKind::value);
        worker_.ring_[worker_.written_ & worker_.mask_].position = position_;
        MP_FAILPOINT("worker: before result ready");
        // order: pairs with the end of this process, so that the entry is seen.
        worker_.control_.results_ready.store(
            worker_.written_ + 1, std::memory_order_release
        );
        MP_FAILPOINT("worker: result ready");
        is_there_ = true;
    }

    bool is_there() const noexcept { return is_there_; }

private:
    BoardWorker& worker_;
    const std::uint64_t position_;
    bool is_there_ = false;
};

/// False, and nothing has run, if that is not the call that the parent wrote.
bool BoardWorker::execute(std::uint64_t position, TaskRunner& runner) noexcept {
    CallCopy copy;
    auto call = call_at(position, copy);
    if (!call) {
        return false;
    }
    ReadyResult ready(*this, position);
    runner.head = {position, copy.about.attempt};
    runner.head.done = &ready;
    if (copy.about.has_trailer != 0) [[unlikely]] {
        call = read_trailer(*call, runner.head);
        if (!call) {
            return false;
        }
    }
    Slot& slot = slots_[position & mask_];
    MP_FAILPOINT("worker: before running");
    // order: pairs with Board::recover(): what was not begun is run again.
    slot.word.store(
        slot_word(position, SlotKind::running, options_.index),
        std::memory_order_release
    );
    MP_FAILPOINT("worker: after running");
    const ResultKind kind = runner.run(*call, out_);
    MP_FAILPOINT("worker: after run");
    if (!ready.is_there()) {
        put_result(position, kind);
    }
    commit(position);
    out_.reset();
    store_.release();
    return true;
}

std::optional<std::span<const std::byte>>
BoardWorker::call_at(std::uint64_t position, CallCopy& copy) const noexcept {
    if (!copy_call(copy, slots_[position & mask_].item, position)) {
        return std::nullopt;
    }
    if (copy.place == MessagePlace::slot) {
        return copy.message();
    }
    const BlockReference block = copy.block();
    if (block.offset > options_.calls_size ||
        block.size > options_.calls_size - block.offset) {
        return std::nullopt;
    }
    return std::span<const std::byte>(call_arena_ + block.offset, block.size);
}

/// The call without its trailer; nothing if that is not what the parent wrote.
std::optional<std::span<const std::byte>>
BoardWorker::read_trailer(std::span<const std::byte> message, TaskHead& head) noexcept {
    const auto trailed = without_trailer(message);
    if (!trailed) {
        return std::nullopt;
    }
    head.name = trailed->name;
    head.priority = trailed->priority;
    if (!trailed->limit.is_forever()) {
        head.deadline = mp::Deadline(trailed->limit);
        begin_limited(head, trailed->limit.duration());
    }
    return trailed->call;
}

/// Before anything of the program runs. Killed or stopped in here, the parent finds the
/// task by its own look.
void BoardWorker::begin_limited(
    const TaskHead& head, std::chrono::nanoseconds limit
) noexcept {
    const std::chrono::nanoseconds deadline =
        head.deadline.time_point().time_since_epoch();
    MP_FAILPOINT("worker: before limit");
    control_.limited_since.store((deadline - limit).count());
    MP_FAILPOINT("worker: limit half told");
    control_.limited_task.store(head.position + 1);
    MP_FAILPOINT("worker: limit told");
    // Pairs with Board::begin_look: it stores next_look, then looks at our words; we
    // stored them, then look at next_look. One of us sees the other.
    const std::int64_t next_look = header_.next_look.load();
    if (next_look == 0 || next_look > deadline.count()) {
        header_.look_wanted.store(1);
        MP_FAILPOINT("worker: look wanted");
        mp::detail::EventFd::ring(options_.doorbell);
        MP_FAILPOINT("worker: rang for limit");
    }
}

void BoardWorker::put_result(std::uint64_t position, ResultKind kind) noexcept {
    const auto bytes = out_.data();
    const std::size_t size = bytes.size();
    if (size <= ResultItem::capacity) {
        const std::size_t first = std::min<std::size_t>(size, 8);
        const ResultItem::Words words{
            padded_word(bytes.data(), first),
            padded_word(bytes.data() + first, size - first)};
        const auto sum = put_entry(position, {size, kind, MessagePlace::item}, words);
        ring_[written_ & mask_].sum = sum.value();
    } else if (size <= CallItem::capacity) {
        auto sum = put_entry(position, {size, kind, MessagePlace::slot}, {});
        std::byte* const in_slot = slots_[position & mask_].item.bytes.data();
        sum.add_copying(in_slot, bytes.data(), size);
        ring_[written_ & mask_].sum = sum.value();
    } else {
        // out_ grew into the arena already: whatever is longer than its own buffer did.
        const BlockReference block = store_.give_away(size);
        const auto sum = put_entry(
            position, {0, kind, MessagePlace::arena}, {block.offset, block.size}
        );
        ring_[written_ & mask_].sum = sum.value();
    }
    MP_FAILPOINT("worker: after result bytes");
}

/// Writes what commit() tells of, but for its position and its sum. Word by word: a
/// whole item, put together elsewhere, would be read again before it is all there.
ItemSum BoardWorker::put_entry(
    std::uint64_t position, ResultItem::Shape shape, ResultItem::Words words
) noexcept {
    ResultItem& item = ring_[written_ & mask_];
    item.length = static_cast<std::uint8_t>(shape.length);
    item.kind = shape.kind;
    item.place = shape.place;
    item.words[0] = words[0];
    item.words[1] = words[1];
    return sum_of(position, {options_.index, written_}, shape, words);
}

void BoardWorker::commit(std::uint64_t position) noexcept {
    MP_FAILPOINT("worker: before push");
    ring_[written_ & mask_].position = position;
    MP_FAILPOINT("worker: entry half written");
    ++written_;
    MP_FAILPOINT("worker: before commit");
    // order: pairs with Board::drain_ring. Before this store the task is lost with us,
    // after it the result is delivered.
    control_.results_written.store(written_, std::memory_order_release);
    MP_FAILPOINT("worker: after commit");
    // order: pairs with Board::enlist: it stores parent_sleeper, then looks at the
    // rings.
    mp::os::full_fence();
    untold_ = header_.parent_sleeper.load(std::memory_order_relaxed) != 0;
}

void BoardWorker::tell() noexcept {
    untold_ = false;
    // order: commit() read it after its fence; here it only chooses whom to wake.
    std::uint64_t parent_sleeper =
        header_.parent_sleeper.load(std::memory_order_relaxed);
    if (parent_sleeper == 0) {
        return;
    }
    MP_FAILPOINT("worker: before parent wake");
    if ((parent_sleeper & 3U) == static_cast<std::uint64_t>(Sleeper::manager)) {
        mp::detail::EventFd::ring(options_.doorbell);
    } else {
        header_.client_wakes.fetch_add(1);
        MP_FAILPOINT("worker: client counted");
        futex_wake(header_.client_wakes, 1, FutexScope::shared);
    }
    // Mark last: if we are stopped or killed above, the next worker wakes again.
    MP_FAILPOINT("worker: before parent mark");
    header_.parent_sleeper.compare_exchange_strong(parent_sleeper, 0);
    MP_FAILPOINT("worker: after parent mark");
}

}  // namespace futures::detail
