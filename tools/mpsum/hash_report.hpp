// SPDX-License-Identifier: BSL-1.0
// HashReport: prints a line for each file that was hashed, a message for each other.
// Threads: one.
#pragma once

#include "console.hpp"
#include "format.hpp"
#include "item.hpp"

namespace mpsum {

class HashReport final : public Sink {
public:
    HashReport(LineFormat format, Console& console)
        : format_(format), console_(console) {}

    void take(const Item& item, const FileResult& result) override;

    bool all_hashed() const noexcept { return all_hashed_; }

private:
    LineFormat format_;
    Console& console_;
    bool all_hashed_ = true;
};

}  // namespace mpsum
