// SPDX-License-Identifier: BSL-1.0
#include "process_pool/loss_window.hpp"

#include "util/number_text.hpp"

#include <algorithm>
#include <stdexcept>

namespace futures::detail {

namespace {

/// How many of the last losses a text tells of.
constexpr std::size_t told_losses = 5;

}  // namespace

LossWindow::LossWindow(const MaxLosses& limit) : limit_(limit) {
    if (limit.count.value() < 0) {
        throw std::invalid_argument("max_losses.count is negative");
    }
    if (limit.within.duration() <= std::chrono::nanoseconds(0)) {
        throw std::invalid_argument("max_losses.within must be above zero");
    }
}

bool LossWindow::add(const std::string& what, Clock::time_point now) {
    if (limit_.count.value() == PTRDIFF_MAX) {
        return true;
    }
    while (!losses_.empty() && !limit_.within.is_forever() &&
           now - losses_.front().when > limit_.within.duration()) {
        losses_.pop_front();
    }
    losses_.push_back({now, what});
    return are_borne();
}

bool LossWindow::are_borne() const noexcept {
    return losses_.size() <= static_cast<std::size_t>(limit_.count.value());
}

std::string LossWindow::story() const {
    std::string text =
        "more than " + std::to_string(limit_.count.value()) + " workers were lost";
    if (!limit_.within.is_forever()) {
        text += " within " + mp::detail::seconds_text(limit_.within.duration());
    }
    const std::size_t first = losses_.size() - std::min(told_losses, losses_.size());
    for (std::size_t i = first; i < losses_.size(); ++i) {
        text += (i == first ? ": " : "; ") + losses_[i].what;
    }
    return text;
}

}  // namespace futures::detail
