// SPDX-License-Identifier: BSL-1.0
// What closing an end does to those who wait in it, and on the other side.
#include "concurrency/detail/channel.hpp"

namespace concurrency::detail {

namespace {

void finish_all(List<Waiter>& queue, Passage passage) noexcept {
    while (!queue.empty()) {
        static_cast<ChannelWait&>(queue.front()).finish(passage);
    }
}

}  // namespace

bool EndBase::shut(Passage own) noexcept {
    if (closed_) {
        return false;
    }
    closed_ = true;
    while (!waits_.empty()) {
        static_cast<ChannelWait&>(waits_.front()).finish(own);
    }
    return true;
}

void SendEndBase::close_in(ChannelBase& channel, Passage own) noexcept {
    if (shut(own) && --channel.send_ends_ == 0) {
        finish_all(channel.receivers_, Passage::ended);
    }
}

bool ReceiveEndBase::close_in(ChannelBase& channel, Passage own) noexcept {
    if (!shut(own) || --channel.receive_ends_ != 0) {
        return false;
    }
    finish_all(channel.senders_, Passage::broken);
    return true;
}

}  // namespace concurrency::detail
