// SPDX-License-Identifier: BSL-1.0
// All of Boost.Serialization that libmp's messages can carry. Include it where objects
// travel through pointers (shared_ptr, unique_ptr), and before BOOST_CLASS_EXPORT: that
// macro covers only the archives it has seen. Plain values need <mp/reduction.hpp>
// only.
// Python:  none, because pickle finds a class by its name alone.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "mp/archive.hpp"
#include "mp/detail/full_archive.hpp"
#include "mp/detail/graph_containers.hpp"
#include "mp/detail/graph_pointers.hpp"
#include "mp/detail/made_elements.hpp"
#include "mp/detail/std_serialize.hpp"

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/serialization/access.hpp>
#include <boost/serialization/array.hpp>
#include <boost/serialization/assume_abstract.hpp>
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/bitset.hpp>
#include <boost/serialization/complex.hpp>
#include <boost/serialization/deque.hpp>
#include <boost/serialization/export.hpp>
#include <boost/serialization/forward_list.hpp>
#include <boost/serialization/list.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/queue.hpp>
#include <boost/serialization/set.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/split_free.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/stack.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/unique_ptr.hpp>
#include <boost/serialization/unordered_map.hpp>
#include <boost/serialization/unordered_set.hpp>
#include <boost/serialization/utility.hpp>
#include <boost/serialization/valarray.hpp>
#include <boost/serialization/vector.hpp>
#include <boost/serialization/version.hpp>
#include <boost/serialization/weak_ptr.hpp>

#include <streambuf>

namespace mp::detail {

/// The end of a message, as a stream that grows.
class WriterBuffer : public std::streambuf {
public:
    explicit WriterBuffer(ByteWriter& out) : out_(out) {}

private:
    std::streamsize xsputn(const char* from, std::streamsize size) override;
    int overflow(int c) override;

    ByteWriter& out_;
};

/// A part of a message, as a stream.
class SpanBuffer : public std::streambuf {
public:
    explicit SpanBuffer(std::span<const std::byte> bytes);
};

template <class T>
struct PointersNeedTheHeaderMpSerialization {
    template <class Full>
    static void register_type(Full& full) {
        full.register_type(static_cast<T*>(nullptr));
    }

    template <class Helper, class Full>
    static Helper& get_helper(Full& full, void* id) {
        return full.template get_helper<Helper>(id);
    }

    template <class Pointer>
    static void save(FullOut& full, const Pointer& pointer) {
        full << pointer;
    }

    template <class Pointer>
    static void load(FullIn& full, Pointer& pointer) {
        full >> pointer;
    }

    static void save_binary_archive(ByteWriter& out, const T& value) {
        const std::size_t length_at = out.size();
        out.put_value(std::uint64_t{0});
        const std::size_t begin = out.size();
        {
            WriterBuffer buffer(out);
            boost::archive::binary_oarchive archive(buffer);
            archive << value;
        }
        out.patch_value(length_at, std::uint64_t{out.size() - begin});
    }

    static void load_binary_archive(ByteReader& in, T& value) {
        const auto length = in.get_value<std::uint64_t>();
        SpanBuffer buffer(in.view(static_cast<std::size_t>(length)));
        boost::archive::binary_iarchive archive(buffer);
        archive >> value;
    }
};

}  // namespace mp::detail
