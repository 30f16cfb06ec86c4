// SPDX-License-Identifier: BSL-1.0
// hash_files: what a worker process does. Everything else happens in the parent.
// Threads: one at a time in a process.
#pragma once

#include "digest.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mpsum {

/// How a file got into a batch.
enum class Origin : std::uint8_t {
    named,   ///< on the command line or in a checksum file: a link is followed
    walked,  ///< found in a directory: must still be no link when it is opened
};

enum class Outcome : std::uint8_t {
    hashed,
    failed,   ///< `error` is the errno
    special,  ///< a FIFO, a socket or a character device: reading it may never end
    directory,
    large,    ///< too large for a batch of several; to be sent again alone
    refused,  ///< `text` says why
};

struct FileResult {
    Outcome outcome = Outcome::failed;
    std::int32_t error = 0;
    std::uint64_t bytes = 0;
    /// The raw digest, or the text of a refusal.
    std::string text;

    template <class Archive>
    void serialize(Archive& archive, unsigned /*version*/) {
        archive& outcome& error& bytes& text;
    }
};

/// A file above this size does not wait behind others in a batch.
inline constexpr std::uint64_t large_file = 256 * 1024;

/// Hashes the files one after the other, in memory bounded by one read buffer. One
/// result per name, in order; a file that cannot be read never costs the others.
std::vector<FileResult>
hash_files(Algorithm algorithm, Origin origin, std::vector<std::string> names);

/// Standard input to its end, in the calling process.
std::vector<FileResult> hash_stdin(Algorithm algorithm);

}  // namespace mpsum
