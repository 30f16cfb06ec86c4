// SPDX-License-Identifier: BSL-1.0
// Item, Source, Sink: what is to be hashed, where it comes from, who gets the results.
// Threads: all of it belongs to the main thread.
#pragma once

#include "hash_files.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace mpsum {

struct Item {
    enum class Kind : std::uint8_t {
        named,           ///< a file by its name
        walked,          ///< a file met in a directory
        standard_input,  ///< `-`
        failure,         ///< nothing to hash: `note` is the message for its turn
    };

    Kind kind = Kind::named;
    std::string name;
    /// For the sink: the message of a failure, or the digest that a checksum file
    /// expects.
    std::string note;
};

/// Gives items one by one. It is asked only when there is room for more work, so it
/// must be lazy.
class Source {
public:
    virtual ~Source() = default;
    virtual std::optional<Item> next() = 0;
};

/// Takes every item once, in the order of the source.
class Sink {
public:
    virtual ~Sink() = default;
    virtual void take(const Item& item, const FileResult& result) = 0;
};

}  // namespace mpsum
