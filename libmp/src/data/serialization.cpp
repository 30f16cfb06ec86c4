// SPDX-License-Identifier: BSL-1.0
// Messages as streams, for Boost's own binary archives.
#include "mp/serialization.hpp"

namespace mp::detail {

std::streamsize WriterBuffer::xsputn(const char* from, std::streamsize size) {
    out_.put(from, static_cast<std::size_t>(size));
    return size;
}

int WriterBuffer::overflow(int c) {
    if (c != traits_type::eof()) {
        out_.put_value(traits_type::to_char_type(c));
    }
    return traits_type::not_eof(c);
}

SpanBuffer::SpanBuffer(std::span<const std::byte> bytes) {
    // A stream wants them writable, and does not write.
    auto* const begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
}

}  // namespace mp::detail
