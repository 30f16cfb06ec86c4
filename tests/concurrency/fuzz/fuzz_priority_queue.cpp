// SPDX-License-Identifier: BSL-1.0
// PriorityQueue: what comes out is the first of what is in it, and who waits is served
// in turn.
#include "concurrency/errors.hpp"
#include "fuzz_world.hpp"

#include <utility>

using concurrency::Cancelled;
using concurrency::Task;

namespace test {

namespace {

FuzzPriorityQueue& the_priority_queue(Fuzz& fuzz) {
    FuzzPriorityQueue& one = fuzz.world.priorities;
    if (one.queue != nullptr && !fuzz.chance(3)) {
        return one;
    }
    fuzz.look();
    const int size = fuzz.below(4);
    one.queue = std::make_unique<FuzzPriorityQueue::Queue>(size);
    one.max = size == 0 ? 1'000'000 : static_cast<std::size_t>(size);
    one.items.clear();
    one.putters.finish_all(fuzz, FuzzEnd::closed);
    one.getters.finish_all(fuzz, FuzzEnd::closed);
    return one;
}

void check_now(Fuzz& fuzz, const FuzzPriorityQueue& one) {
    const concurrency::PriorityQueueStatistics now = one.queue->statistics();
    fuzz.expect(now.current_buffer_used == one.items.size(), "what is in a queue");
    fuzz.expect(now.tasks_waiting_send == one.putters.size(fuzz), "who waits to put");
    fuzz.expect(
        now.tasks_waiting_receive == one.getters.size(fuzz), "who waits to get"
    );
}

Task<> put_by(FuzzPriorityQueue::Queue& queue, std::pair<int, int> what, bool waits) {
    FuzzItem item(what.second);
    if (waits) {
        Task<> putting = queue.put(what.first, std::move(item));
        co_await std::move(putting);
    } else {
        queue.put_nowait(what.first, std::move(item));
    }
}

Task<> get_by(FuzzPriorityQueue::Queue& queue, std::pair<int, int>& what, bool waits) {
    if (waits) {
        const std::pair<int, FuzzItem> got = co_await queue.get();
        what = {got.first, got.second.number()};
    } else {
        const std::pair<int, FuzzItem> got = queue.get_nowait();
        what = {got.first, got.second.number()};
    }
}

Task<> put_with_priority(Fuzz& fuzz, FuzzPlace at) {
    FuzzPriorityQueue& one = the_priority_queue(fuzz);
    check_now(fuzz, one);
    const std::pair<int, int> item{fuzz.below(3), fuzz.world.next_item++};
    const bool waits = fuzz.chance(70);
    std::optional<FuzzEnd> expected;
    if (waits && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (FuzzPriorityTicket* getter = one.getters.first(fuzz)) {
        getter->item = item;
        getter->finish(FuzzEnd::returned);
        expected = FuzzEnd::returned;
    } else if (one.items.size() < one.max) {
        one.items.insert(item);
        expected = FuzzEnd::returned;
    } else if (!waits) {
        expected = FuzzEnd::would_block;
    } else if (!fuzz.can_end(*at.node)) {
        co_return;
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, put_by(*one.queue, item, waits));
    } else {
        FuzzPriorityTicket ticket(at);
        ticket.item = item;
        end = co_await wait_in_line(
            fuzz, one.putters, ticket, put_by(*one.queue, item, waits)
        );
    }
    if (end == FuzzEnd::cancelled) {
        throw Cancelled();
    }
}

Task<> get_with_priority(Fuzz& fuzz, FuzzPlace at) {
    FuzzPriorityQueue& one = the_priority_queue(fuzz);
    check_now(fuzz, one);
    const bool waits = fuzz.chance(70);
    std::pair<int, int> item{0, 0};
    std::pair<int, int> got{0, 0};
    std::optional<FuzzEnd> expected;
    if (waits && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (!one.items.empty()) {
        item = *one.items.begin();
        one.items.erase(one.items.begin());
        while (one.items.size() < one.max) {
            FuzzPriorityTicket* const putter = one.putters.first(fuzz);
            if (putter == nullptr) {
                break;
            }
            one.items.insert(putter->item);
            putter->finish(FuzzEnd::returned);
        }
        expected = FuzzEnd::returned;
    } else if (!waits) {
        expected = FuzzEnd::would_block;
    } else if (!fuzz.can_end(*at.node)) {
        co_return;
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, get_by(*one.queue, got, waits));
    } else {
        FuzzPriorityTicket ticket(at);
        end = co_await wait_in_line(
            fuzz, one.getters, ticket, get_by(*one.queue, got, waits)
        );
        item = ticket.item;
    }
    fuzz.expect(end != FuzzEnd::returned || item == got, "what comes out first");
    if (end == FuzzEnd::cancelled) {
        throw Cancelled();
    }
}

}  // namespace

FuzzOperations priority_queue_operations() {
    return {
        {"PriorityQueue.put", 9, put_with_priority},
        {"PriorityQueue.get", 9, get_with_priority},
    };
}

}  // namespace test
