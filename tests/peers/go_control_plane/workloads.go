// SPDX-License-Identifier: Apache-2.0
package main

import (
	"log"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// istiod's workload API, which the library does not have: as much of it as the tests serve.
const workloadType = "type.googleapis.com/istio.workload.Address"

type kind = descriptorpb.FieldDescriptorProto_Type

func field(name string, number int32, of kind) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(number), Type: of.Enum(),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
}

func init() {
	const text, bytes, message = descriptorpb.FieldDescriptorProto_TYPE_STRING,
		descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	workload := field("workload", 1, message)
	workload.TypeName = proto.String(".istio.workload.Workload")
	addresses := field("addresses", 3, bytes)
	addresses.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("workload.proto"), Package: proto.String("istio.workload"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Address"), Field: []*descriptorpb.FieldDescriptorProto{workload}},
			{Name: proto.String("Workload"), Field: []*descriptorpb.FieldDescriptorProto{field("name", 1, text),
				field("namespace", 2, text), addresses, field("node", 9, text), field("uid", 20, text)}},
		}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for i := 0; i < file.Messages().Len(); i++ {
		if err := protoregistry.GlobalTypes.RegisterMessage(dynamicpb.NewMessageType(file.Messages().Get(i))); err != nil {
			log.Fatal(err)
		}
	}
}

// The workload's uid, as istiod names it; "" of a resource of another type.
func workloadName(resource proto.Message) string {
	address := resource.ProtoReflect()
	field := address.Descriptor().Fields().ByName("workload")
	if field == nil || field.Message() == nil || field.Message().FullName() != protoreflect.FullName("istio.workload.Workload") {
		return ""
	}
	workload := address.Get(field).Message()
	return workload.Get(workload.Descriptor().Fields().ByName("uid")).String()
}
