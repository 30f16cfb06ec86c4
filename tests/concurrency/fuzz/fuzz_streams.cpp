// SPDX-License-Identifier: BSL-1.0
// Memory object streams with clones, and Queue: each item that was sent is received
// once, in order, by the task that has waited longest.
#include "concurrency/errors.hpp"
#include "fuzz_world.hpp"

#include <algorithm>
#include <utility>

using concurrency::Cancelled;
using concurrency::Task;

namespace test {

std::optional<FuzzEnd> FuzzChannel::send(Fuzz& fuzz, int item) {
    if (receivers_open_ == 0) {
        return FuzzEnd::broken;
    }
    if (FuzzItemTicket* receiver = receivers.first(fuzz)) {
        receiver->item = item;
        receiver->finish(FuzzEnd::returned);
        return FuzzEnd::returned;
    }
    if (buffer_.size() >= max_) {
        return std::nullopt;
    }
    buffer_.push_back(item);
    return FuzzEnd::returned;
}

std::optional<FuzzEnd> FuzzChannel::receive(Fuzz& fuzz, int& item) {
    const bool is_buffered = !buffer_.empty();
    if (is_buffered) {
        item = buffer_.front();
        buffer_.pop_front();
    }
    while (!is_buffered || buffer_.size() < max_) {
        FuzzItemTicket* const sender = senders.first(fuzz);
        if (sender == nullptr) {
            break;
        }
        sender->finish(FuzzEnd::returned);
        if (!is_buffered) {
            item = sender->item;
            return FuzzEnd::returned;
        }
        buffer_.push_back(sender->item);
    }
    if (is_buffered) {
        return FuzzEnd::returned;
    }
    return senders_open_ == 0 ? std::optional(FuzzEnd::ended) : std::nullopt;
}

int FuzzChannel::open_sender() {
    ++senders_open_;
    open_.insert(next_end_);
    return next_end_++;
}

int FuzzChannel::open_receiver() {
    ++receivers_open_;
    open_.insert(next_end_);
    return next_end_++;
}

void FuzzChannel::close_sender(Fuzz& fuzz, int end, FuzzEnd own) {
    if (open_.erase(end) == 0) {
        return;
    }
    senders.finish_all(fuzz, own, [&](const FuzzItemTicket& ticket) {
        return ticket.from == end;
    });
    if (--senders_open_ == 0) {
        receivers.finish_all(fuzz, FuzzEnd::ended);
    }
}

void FuzzChannel::close_receiver(Fuzz& fuzz, int end, FuzzEnd own) {
    if (open_.erase(end) == 0) {
        return;
    }
    receivers.finish_all(fuzz, own, [&](const FuzzItemTicket& ticket) {
        return ticket.from == end;
    });
    if (--receivers_open_ == 0) {
        senders.finish_all(fuzz, FuzzEnd::broken);
        buffer_.clear();
    }
}

void FuzzChannel::check(
    Fuzz& fuzz, const concurrency::MemoryObjectStreamStatistics& now
) const {
    fuzz.expect(now.current_buffer_used == buffer_.size(), "how much is buffered");
    fuzz.expect(
        now.open_send_streams == static_cast<std::size_t>(senders_open_) &&
            now.open_receive_streams == static_cast<std::size_t>(receivers_open_),
        "how many ends are open"
    );
    fuzz.expect(now.tasks_waiting_send == senders.size(fuzz), "how many wait to send");
    fuzz.expect(
        now.tasks_waiting_receive == receivers.size(fuzz), "how many wait to receive"
    );
}

namespace {

/// How an item is sent or received.
enum class Passing { waits, nowait, next };

void finish(FuzzEnd end) {
    if (end == FuzzEnd::cancelled) {
        throw Cancelled();
    }
}

// -- Both ends of whatever there is.

template <class Sender>
Task<> send_by(Sender& sender, int number, Passing how) {
    FuzzItem item(number);
    if (how == Passing::nowait) {
        sender.send_nowait(std::move(item));
    } else {
        Task<> sending = sender.send(std::move(item));
        co_await std::move(sending);
    }
}

template <class Receiver>
Task<> receive_by(Receiver& receiver, int& number, Passing how) {
    switch (how) {
    case Passing::waits: {
        const FuzzItem item = co_await receiver.receive();
        number = item.number();
        break;
    }
    case Passing::nowait:
        number = receiver.receive_nowait().number();
        break;
    case Passing::next:
        if (const std::optional<FuzzItem> item = co_await receiver.next()) {
            number = item->number();
        } else {
            throw concurrency::EndOfStream();
        }
        break;
    }
}

// A queue as if it were an end of a stream.
struct QueueEnd {
    concurrency::Queue<FuzzItem>& queue;

    Task<> send(FuzzItem item) const { return queue.put(std::move(item)); }

    void send_nowait(FuzzItem&& item) const { queue.put_nowait(std::move(item)); }

    Task<FuzzItem> receive() const { return queue.get(); }

    Task<std::optional<FuzzItem>> next() const { return queue.receiver().next(); }

    FuzzItem receive_nowait() const { return queue.get_nowait(); }
};

template <class Sender>
Task<> send_one(
    Fuzz& fuzz,
    FuzzPlace at,
    std::shared_ptr<FuzzChannel> channel,
    int number,
    Sender& sender
) {
    const int item = fuzz.world.next_item++;
    const Passing how = fuzz.chance(30) ? Passing::nowait : Passing::waits;
    std::optional<FuzzEnd> expected;
    if (how != Passing::nowait && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (!channel->is_open(number)) {
        expected = FuzzEnd::closed;
    } else if (how == Passing::waits && !fuzz.can_end(*at.node)) {
        co_return;
    } else {
        expected = channel->send(fuzz, item);
    }
    if (!expected && how == Passing::nowait) {
        expected = FuzzEnd::would_block;
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, send_by(sender, item, how));
    } else {
        FuzzItemTicket ticket(at, number, item);
        end = co_await wait_in_line(
            fuzz, channel->senders, ticket, send_by(sender, item, how)
        );
    }
    finish(end);
}

template <class Receiver>
Task<> receive_one(
    Fuzz& fuzz,
    FuzzPlace at,
    std::shared_ptr<FuzzChannel> channel,
    int number,
    Receiver& receiver
) {
    int item = 0;
    int got = 0;
    const auto how = static_cast<Passing>(fuzz.below(3));
    std::optional<FuzzEnd> expected;
    if (how != Passing::nowait && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (!channel->is_open(number)) {
        expected = FuzzEnd::closed;
    } else if (how != Passing::nowait && !fuzz.can_end(*at.node)) {
        co_return;
    } else {
        expected = channel->receive(fuzz, item);
    }
    if (!expected && how == Passing::nowait) {
        expected = FuzzEnd::would_block;
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, receive_by(receiver, got, how));
    } else {
        FuzzItemTicket ticket(at, number, 0);
        end = co_await wait_in_line(
            fuzz, channel->receivers, ticket, receive_by(receiver, got, how)
        );
        item = ticket.item;
    }
    fuzz.expect(
        end != FuzzEnd::returned || (item == got && got != 0), "which item has come"
    );
    finish(end);
}

// -- Streams.

FuzzStream& any_stream(Fuzz& fuzz) {
    FuzzStream& one = fuzz.world.streams[static_cast<std::size_t>(fuzz.below(2))];
    if (one.channel != nullptr && (one.channel->has_both() || fuzz.chance(70))) {
        return one;
    }
    if (one.channel != nullptr) {
        fuzz.look();
        for (const auto& end : one.senders) {
            one.channel->close_sender(fuzz, end.number, FuzzEnd::closed);
        }
        for (const auto& end : one.receivers) {
            one.channel->close_receiver(fuzz, end.number, FuzzEnd::closed);
        }
        one.senders.clear();
        one.receivers.clear();
    }
    const int size = fuzz.below(4);
    auto ends =
        size == 3 ? concurrency::create_memory_object_stream<FuzzItem>(concurrency::inf)
                  : concurrency::create_memory_object_stream<FuzzItem>(size);
    one.channel = std::make_shared<FuzzChannel>(
        size == 3 ? 1'000'000 : static_cast<std::size_t>(size)
    );
    one.senders.push_back(
        {one.channel->open_sender(),
         std::make_unique<FuzzStream::Send>(std::move(ends.first))}
    );
    one.receivers.push_back(
        {one.channel->open_receiver(),
         std::make_unique<FuzzStream::Receive>(std::move(ends.second))}
    );
    return one;
}

template <class End>
FuzzStreamEnd<End>* any_end(Fuzz& fuzz, std::vector<FuzzStreamEnd<End>>& ends) {
    return ends.empty()
               ? nullptr
               : &ends[static_cast<std::size_t>(fuzz.below(static_cast<int>(ends.size())
                 ))];
}

Task<> send_item(Fuzz& fuzz, FuzzPlace at) {
    FuzzStream& one = any_stream(fuzz);
    if (auto* sender = any_end(fuzz, one.senders)) {
        return send_one(fuzz, at, one.channel, sender->number, *sender->end);
    }
    return concurrency::cancel_shielded_checkpoint();
}

Task<> receive_item(Fuzz& fuzz, FuzzPlace at) {
    FuzzStream& one = any_stream(fuzz);
    if (auto* receiver = any_end(fuzz, one.receivers)) {
        return receive_one(fuzz, at, one.channel, receiver->number, *receiver->end);
    }
    return concurrency::cancel_shielded_checkpoint();
}

// By close(), or by the end of the object.
template <class End>
void close_end(
    Fuzz& fuzz, std::vector<FuzzStreamEnd<End>>& ends, FuzzStreamEnd<End>& end
) {
    if (fuzz.chance(50)) {
        end.end->close();
    } else {
        ends.erase(ends.begin() + (&end - ends.data()));
    }
}

template <class End>
bool is_refused(const End& end) {
    try {
        static_cast<void>(end.clone());
    } catch (const concurrency::ClosedResourceError&) {
        return true;
    }
    return false;
}

Task<> close_or_clone(Fuzz& fuzz, FuzzPlace) {
    FuzzStream& one = any_stream(fuzz);
    FuzzChannel& channel = *one.channel;
    auto* const sender = any_end(fuzz, one.senders);
    auto* const receiver = any_end(fuzz, one.receivers);
    fuzz.look();
    const bool is_sender = fuzz.chance(50);
    const bool closes = fuzz.chance(40);
    if (is_sender && sender != nullptr) {
        if (closes) {
            channel.close_sender(fuzz, sender->number, FuzzEnd::closed);
            close_end(fuzz, one.senders, *sender);
        } else if (!channel.is_open(sender->number)) {
            fuzz.expect(is_refused(*sender->end), "a clone of a closed end");
        } else if (one.senders.size() < 4) {
            auto clone = std::make_unique<FuzzStream::Send>(sender->end->clone());
            one.senders.push_back({channel.open_sender(), std::move(clone)});
        }
    } else if (!is_sender && receiver != nullptr) {
        if (closes) {
            channel.close_receiver(fuzz, receiver->number, FuzzEnd::closed);
            close_end(fuzz, one.receivers, *receiver);
        } else if (!channel.is_open(receiver->number)) {
            fuzz.expect(is_refused(*receiver->end), "a clone of a closed end");
        } else if (one.receivers.size() < 4) {
            auto clone = std::make_unique<FuzzStream::Receive>(receiver->end->clone());
            one.receivers.push_back({channel.open_receiver(), std::move(clone)});
        }
    }
    if (!one.senders.empty()) {
        channel.check(fuzz, one.senders.front().end->statistics());
    } else if (!one.receivers.empty()) {
        channel.check(fuzz, one.receivers.front().end->statistics());
    }
    co_return;
}

// -- Queue.

FuzzQueue& the_queue(Fuzz& fuzz) {
    FuzzQueue& one = fuzz.world.queue;
    if (one.queue != nullptr && (one.channel->has_both() || fuzz.chance(70))) {
        return one;
    }
    if (one.queue != nullptr) {
        one.channel->close_sender(fuzz, one.sender, FuzzEnd::broken);
        one.channel->close_receiver(fuzz, one.receiver, FuzzEnd::ended);
    }
    const int size = fuzz.below(3);
    one.queue = std::make_unique<concurrency::Queue<FuzzItem>>(size);
    one.channel = std::make_shared<FuzzChannel>(static_cast<std::size_t>(size));
    one.sender = one.channel->open_sender();
    one.receiver = one.channel->open_receiver();
    return one;
}

Task<> put_item(Fuzz& fuzz, FuzzPlace at) {
    FuzzQueue& one = the_queue(fuzz);
    const QueueEnd end{*one.queue};
    co_await send_one(fuzz, at, one.channel, one.sender, end);
}

Task<> get_item(Fuzz& fuzz, FuzzPlace at) {
    FuzzQueue& one = the_queue(fuzz);
    const QueueEnd end{*one.queue};
    co_await receive_one(fuzz, at, one.channel, one.receiver, end);
}

Task<> close_queue(Fuzz& fuzz, FuzzPlace) {
    FuzzQueue& one = the_queue(fuzz);
    one.channel->check(fuzz, one.queue->statistics());
    if (fuzz.chance(40)) {
        one.channel->close_sender(fuzz, one.sender, FuzzEnd::closed);
        one.queue->sender().close();
    } else {
        one.channel->close_sender(fuzz, one.sender, FuzzEnd::broken);
        one.channel->close_receiver(fuzz, one.receiver, FuzzEnd::ended);
        one.queue->close();
    }
    one.channel->check(fuzz, one.queue->statistics());
    co_return;
}

}  // namespace

FuzzOperations stream_operations() {
    return {
        {"send", 10, send_item},
        {"receive", 10, receive_item},
        {"close or clone", 8, close_or_clone},
        {"Queue.put", 7, put_item},
        {"Queue.get", 7, get_item},
        {"Queue.close", 2, close_queue},
    };
}

}  // namespace test
